//! A codec that is none.

use factum::Event;

struct Text;

#[derive(Event)]
#[event(codec = Text)]
enum AccountEvent {
    Opened,
    Closed,
}

fn main() {}
