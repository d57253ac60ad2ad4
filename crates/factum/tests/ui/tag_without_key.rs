//! A tag whose key nothing names.

use factum::Event;

#[derive(Event)]
struct Closed(#[event(tag)] String);

fn main() {}
