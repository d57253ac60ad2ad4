//! An old shape that cannot be read.

use factum::Event;

struct OpenedV1 {}

#[derive(Event)]
#[event(version = 2, upcast(1 = OpenedV1))]
struct Opened;

impl From<OpenedV1> for Opened {
    fn from(_: OpenedV1) -> Self {
        Self
    }
}

fn main() {}
