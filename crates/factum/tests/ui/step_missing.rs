//! A new version, and no way from the old one.

use factum::Event;

#[derive(Event)]
enum AccountEvent {
    Opened,
    #[event(version = 2)]
    Withdrawn { cents: u64 },
}

fn main() {}
