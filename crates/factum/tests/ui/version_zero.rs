//! A version before the first.

use factum::Event;

#[derive(Event)]
#[event(version = 0)]
struct Opened;

fn main() {}
