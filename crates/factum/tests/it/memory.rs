//! The store in memory against the laws.

use factum::testing::ManualClock;
use factum::testing::store::Backend;
use factum::{AnyStore, MemoryStore};

/// Keeps nothing, as a program sees it.
struct Memory;

impl Backend for Memory {
    type Store = MemoryStore;

    async fn create(&self, clock: ManualClock) -> MemoryStore {
        MemoryStore::with_clock(clock)
    }

    async fn reopen(&self, _: MemoryStore, _: ManualClock) -> Option<MemoryStore> {
        None
    }
}

factum::store_contract!(Memory);

/// The same behind the type of any store; and a store that was never closed is one that was opened again.
mod any {
    use super::{AnyStore, Backend, ManualClock, MemoryStore};

    struct Any;

    impl Backend for Any {
        type Store = AnyStore;

        async fn create(&self, clock: ManualClock) -> AnyStore {
            AnyStore::new(MemoryStore::with_clock(clock))
        }

        async fn reopen(&self, store: AnyStore, _: ManualClock) -> Option<AnyStore> {
            Some(store)
        }
    }

    factum::store_contract!(Any);
}
