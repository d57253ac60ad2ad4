//! Two steps from one schema.

use factum::Event;

#[derive(serde::Deserialize)]
struct Old {}

#[derive(Event)]
#[event(version = 2, upcast(1 = Old, 1 = Old))]
struct Opened;

fn main() {}
