//! More than one field without a name.

use factum::Event;

#[derive(Event)]
enum AccountEvent {
    Transferred(String, u64),
}

#[derive(Event)]
struct Closed(String, u64);

fn main() {}
