//! What a program that does not compile is told: one file a mistake, the message beside it.
//!
//! `TRYBUILD=overwrite cargo test -p factum derive` writes the messages anew, to be read before they are committed.

#[test]
fn a_mistake_is_told_where_it_is_with_what_to_write_instead() {
    trybuild::TestCases::new().compile_fail("tests/ui/*.rs");
}
