//! What a program that does not compile is told: one file a mistake, the message beside it.

#[test]
fn a_mistake_is_told_where_it_is_with_what_to_write_instead() {
    trybuild::TestCases::new().compile_fail("tests/ui/*.rs");
}
