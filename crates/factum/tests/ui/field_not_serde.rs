//! A field whose type cannot be written or read.

use factum::Event;

struct Owner;

#[derive(Event)]
struct Opened {
    owner: Owner,
}

fn main() {}
