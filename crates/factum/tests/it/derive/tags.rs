//! The tags that fields give.

use factum::{Event, NameError, Tag};

use super::{AccountEvent, opened};

#[track_caller]
fn check_tags(event: &impl Event, expected: &[&str]) {
    let tags = event.tags().unwrap();
    assert_eq!(tags.iter().map(Tag::as_str).collect::<Vec<_>>(), expected);
}

#[derive(Event)]
struct Enrolled {
    #[event(tag = "person")]
    student: u32,
    #[event(tag = "person")]
    teacher: Option<u32>,
    #[event(tag)]
    r#course: Vec<String>,
    #[event(tag = "room")]
    rooms: Option<Vec<Option<u8>>>,
}

fn texts(texts: &[&str]) -> Vec<String> {
    texts.iter().map(ToString::to_string).collect()
}

fn enrolled() -> Enrolled {
    Enrolled { student: 1, teacher: None, course: vec![], rooms: None }
}

#[test]
fn a_tag_is_the_name_of_the_field_and_its_value() {
    check_tags(&opened("ann"), &["owner:ann"]);
    check_tags(&opened("a:b c"), &["owner:a:b c"]);
    check_tags(&AccountEvent::Deposited { cents: 5 }, &[]);
    check_tags(&AccountEvent::Closed, &[]);
}

#[test]
fn an_option_gives_a_tag_where_there_is_a_value() {
    check_tags(&enrolled(), &["person:1"]);
    check_tags(&Enrolled { teacher: Some(2), ..enrolled() }, &["person:1", "person:2"]);
}

#[test]
fn a_vec_gives_a_tag_for_each_of_its_values() {
    check_tags(&Enrolled { course: texts(&["c1", "c2"]), ..enrolled() }, &["person:1", "course:c1", "course:c2"]);
    check_tags(&Enrolled { rooms: Some(vec![Some(8), None, Some(9)]), ..enrolled() }, &["person:1", "room:8", "room:9"]);
}

#[test]
fn a_tag_is_there_once() {
    check_tags(&Enrolled { teacher: Some(1), course: texts(&["c1", "c1"]), ..enrolled() }, &["person:1", "course:c1"]);
}

#[test]
fn an_unnamed_field_gives_a_tag_under_a_key() {
    #[derive(Event)]
    enum Badge {
        Lost(#[event(tag = "badge")] u64),
    }
    check_tags(&Badge::Lost(7), &["badge:7"]);
}

#[test]
fn a_value_that_makes_no_tag_is_an_error() {
    assert!(matches!(opened("").tags(), Err(NameError::NotKeyValue { .. })));
    assert!(matches!(opened("a\nb").tags(), Err(NameError::ControlCharacter { .. })));
    assert!(matches!(opened(&"a".repeat(Tag::MAX_BYTES)).tags(), Err(NameError::TooLong { .. })));
}
