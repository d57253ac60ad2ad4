//! Old shapes that nothing turns into the next.

use factum::Event;

#[derive(serde::Deserialize)]
struct OpenedV1 {}

#[derive(serde::Deserialize)]
struct OpenedV2 {}

#[derive(Event)]
#[event(version = 3, upcast(1 = OpenedV1, 2 = OpenedV2))]
struct Opened;

impl From<OpenedV2> for Opened {
    fn from(_: OpenedV2) -> Self {
        Self
    }
}

fn main() {}
