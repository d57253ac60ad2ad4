//! Keys whose values are missing or of the wrong kind.

use factum::Event;

#[derive(Event)]
#[event(prefix)]
enum AccountEvent {
    Opened,
}

#[derive(Event)]
#[event(name = Ended)]
struct Ended;

#[derive(Event)]
#[event(version = "2")]
struct Closed;

#[derive(Event)]
#[event(version = 2, upcast(OldOpened))]
struct Opened;

#[derive(Event)]
#[event]
struct Moved;

fn main() {}
