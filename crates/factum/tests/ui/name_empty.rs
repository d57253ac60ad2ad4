//! A stored name without text.

use factum::Event;

#[derive(Event)]
#[event(name = "")]
struct Opened;

fn main() {}
