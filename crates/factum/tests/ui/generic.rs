//! Events that have parameters.

use factum::Event;

#[derive(Event)]
struct Measured<T> {
    value: T,
}

#[derive(Event)]
enum Said<'a> {
    Word(&'a str),
}

fn main() {}
