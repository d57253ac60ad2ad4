//! Each mistake is told once, and the type's uses are not among them.

use factum::{Event, RecordedEvent};

#[derive(Event)]
enum AccountEvent {
    #[event(name = "", version = 2)]
    Opened(String, u64),
    #[event(rename = "closed")]
    Closed,
}

fn closed(event: &RecordedEvent) -> Option<AccountEvent> {
    event.decode().ok()?
}

fn main() {}
