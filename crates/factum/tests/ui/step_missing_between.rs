//! A way from the old versions with a gap in it, and one that ends too soon.

use factum::Event;

#[derive(serde::Deserialize)]
struct First {}

#[derive(serde::Deserialize)]
struct Third {}

#[derive(Event)]
enum AccountEvent {
    #[event(version = 4, upcast(1 = First, 3 = Third))]
    Withdrawn { cents: u64 },
    #[event(version = 3, upcast(2 = Third))]
    Deposited { cents: u64 },
    #[event(version = 4_000_000_000, upcast(1 = First))]
    Opened,
}

fn main() {}
