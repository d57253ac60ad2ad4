//! A tag of a value that has no text.

use factum::Event;

#[derive(serde::Serialize, serde::Deserialize)]
struct Owner;

#[derive(Event)]
struct Opened {
    #[event(tag)]
    owner: Option<Owner>,
}

fn main() {}
