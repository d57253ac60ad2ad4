//! A key that is given twice.

use factum::Event;

#[derive(Event)]
#[event(version = 1, name = "opened")]
#[event(name = "account-opened")]
struct Opened;

fn main() {}
