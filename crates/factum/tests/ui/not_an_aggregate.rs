//! A type that is not an aggregate, where one is needed.

use factum::{Log, MemoryStore};

struct Account;

fn main() {
    Log::new(MemoryStore::new()).repository::<Account>();
}
