//! Steps from schemas that are not older than the current one, or that no event has.

use factum::Event;

#[derive(serde::Deserialize)]
struct Old {}

#[derive(Event)]
enum AccountEvent {
    #[event(upcast(1 = Old))]
    Opened,
    #[event(version = 2, upcast(1 = Old, 2 = Old, 7 = Old))]
    Withdrawn,
    #[event(version = 2, upcast(0 = Old, 1 = Old))]
    Closed,
}

fn main() {}
