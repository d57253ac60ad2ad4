//! A type that is not an event, where one is needed.

use factum::RecordedEvent;

struct Opened;

fn opened(event: &RecordedEvent) -> Option<Opened> {
    event.decode().ok()?
}

fn main() {}
