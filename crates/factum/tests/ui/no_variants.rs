//! An enum without variants.

use factum::Event;

#[derive(Event)]
enum Never {}

fn main() {}
