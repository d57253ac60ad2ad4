//! A union.

use factum::Event;

#[derive(Event)]
union Either {
    small: u8,
    big: u64,
}

fn main() {}
