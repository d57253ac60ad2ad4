//! A stored name, and a prefix, that would break a line.

use factum::Event;

#[derive(Event)]
#[event(prefix = "Account\n")]
enum AccountEvent {
    Opened,
    #[event(name = "account\tclosed")]
    Closed,
}

fn main() {}
