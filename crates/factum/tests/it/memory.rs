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

/// The same behind the type of any store. One that was never closed passes for one that was opened again.
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

/// A store in memory that can be closed, so that the rules about restarts meet one that is.
mod closing {
    use factum::{
        Append, AppendError, Appended, ConsumerName, Page, Position, Read, ReadStreams, Store, StoreError, StoreErrorKind,
        StreamsPage,
    };
    use tokio_util::sync::CancellationToken;

    use super::{Backend, ManualClock, MemoryStore};

    /// A handle on a store; its clones are closed together.
    #[derive(Clone)]
    struct Handle {
        store: MemoryStore,
        closed: CancellationToken,
    }

    impl Handle {
        fn new(store: MemoryStore) -> Self {
            Self { store, closed: CancellationToken::new() }
        }

        fn open(&self, kind: StoreErrorKind) -> Result<(), StoreError> {
            if self.closed.is_cancelled() { Err(StoreError::new(kind, "the store is closed: open it again")) } else { Ok(()) }
        }
    }

    impl Store for Handle {
        async fn append(&self, append: Append) -> Result<Appended, AppendError> {
            self.open(StoreErrorKind::Closed)?;
            let appended = self.store.append(append).await;
            tokio::task::yield_now().await;
            // What was on its way when the store closed: recorded, and nobody is told.
            self.open(StoreErrorKind::UnknownOutcome)?;
            appended
        }

        async fn read(&self, read: Read) -> Result<Page, StoreError> {
            self.open(StoreErrorKind::Closed)?;
            self.store.read(read).await
        }

        async fn head(&self) -> Result<Position, StoreError> {
            self.open(StoreErrorKind::Closed)?;
            self.store.head().await
        }

        async fn changed(&self, after: Position) {
            self.closed.run_until_cancelled(self.store.changed(after)).await;
        }

        async fn streams(&self, read: ReadStreams) -> Result<StreamsPage, StoreError> {
            self.open(StoreErrorKind::Closed)?;
            self.store.streams(read).await
        }

        async fn consumed(&self, consumer: ConsumerName) -> Result<Position, StoreError> {
            self.open(StoreErrorKind::Closed)?;
            self.store.consumed(consumer).await
        }
    }

    struct Closing;

    impl Backend for Closing {
        type Store = Handle;

        async fn create(&self, clock: ManualClock) -> Handle {
            Handle::new(MemoryStore::with_clock(clock))
        }

        async fn reopen(&self, handle: Handle, _: ManualClock) -> Option<Handle> {
            handle.closed.cancel();
            Some(Handle::new(handle.store))
        }
    }

    factum::store_contract!(Closing);
}

/// What the random operations must be good for: each kind of answer, often.
mod model {
    use factum::testing::store::model::{Operation, check, operations};
    use factum::{AppendError, Conflict, MemoryStore, Store};

    use super::Memory;

    /// Seeds, and operations for each.
    const SEEDS: u64 = 40;
    const OPERATIONS: usize = 150;

    #[tokio::test]
    async fn the_store_in_memory_agrees_with_itself() {
        for seed in 0..SEEDS {
            check(&Memory, seed, OPERATIONS).await;
        }
    }

    #[test]
    fn a_seed_always_makes_the_same_operations() {
        assert_eq!(operations(7, OPERATIONS), operations(7, OPERATIONS));
        assert_ne!(operations(7, OPERATIONS), operations(8, OPERATIONS));
    }

    #[tokio::test]
    async fn operations_meet_every_kind_of_answer() {
        let mut counts = [0; 7];
        for seed in 0..SEEDS {
            let store = MemoryStore::new();
            for operation in operations(seed, OPERATIONS) {
                let Operation::Append(append) = operation else { continue };
                let head = store.head().await.unwrap();
                let (empty, answer) = (append.events.is_empty(), store.append(append).await);
                let kind = match answer {
                    Ok(_) if head < store.head().await.unwrap() => 0,
                    Ok(_) if empty => continue,
                    Ok(_) => 1,
                    Err(AppendError::Conflict(Conflict::Stream { .. })) => 2,
                    Err(AppendError::Conflict(_)) => 3,
                    Err(AppendError::IdTaken { .. }) => 4,
                    Err(AppendError::AlreadyConsumed { .. }) => 5,
                    Err(_) => 6,
                };
                counts[kind] += 1;
            }
        }
        let [recorded, rest @ ..] = counts;
        assert!(1_000 < recorded && rest.iter().all(|count| 20 < *count), "{counts:?}");
    }
}
