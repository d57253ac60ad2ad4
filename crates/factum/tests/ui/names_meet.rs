//! Two variants with one stored name.

use factum::Event;

#[derive(Event)]
#[event(prefix = "Account")]
enum AccountEvent {
    Opened,
    #[event(name = "AccountOpened")]
    Created,
}

fn main() {}
