//! The store on local disk against the laws: as users open it, and with everything so small that it rotates, indexes and merges
//! all the time.

use std::path::Path;

use factum::testing::ManualClock;
use factum::testing::store::{Backend, model};
use factum_embedded::{EmbeddedStore, Options};
use proptest::bool::weighted;
use proptest::collection::vec;
use proptest::prelude::{ProptestConfig, prop_assert, proptest};
use tempfile::TempDir;

/// Stores in folders that go when the backend goes.
struct Embedded {
    folder: TempDir,
    options: Options,
    created: std::sync::atomic::AtomicUsize,
    paths: std::sync::Mutex<std::collections::HashMap<String, std::path::PathBuf>>,
}

impl Embedded {
    fn new(options: Options) -> Self {
        Self { folder: tempfile::tempdir().unwrap(), options, created: Default::default(), paths: Default::default() }
    }

    fn usual() -> Self {
        Self::new(Options::default())
    }

    fn small() -> Self {
        Self::new(Options::default().segment_bytes(8 << 10).fill_bytes(1 << 10).index_events(16))
    }

    fn open(&self, path: &Path, clock: ManualClock) -> EmbeddedStore {
        let store = self.options.clone().clock(clock).open(path).unwrap();
        let id = store.stats().unwrap().log_id.to_string();
        self.paths.lock().unwrap().insert(id, path.to_owned());
        store
    }
}

impl Backend for Embedded {
    type Store = EmbeddedStore;

    async fn create(&self, clock: ManualClock) -> EmbeddedStore {
        let number = self.created.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        self.open(&self.folder.path().join(number.to_string()), clock)
    }

    async fn reopen(&self, store: EmbeddedStore, clock: ManualClock) -> Option<EmbeddedStore> {
        let id = store.stats().unwrap().log_id.to_string();
        let path = self.paths.lock().unwrap()[&id].clone();
        tokio::task::block_in_place(|| store.close());
        Some(self.open(&path, clock))
    }
}

mod usual {
    factum::store_contract!(super::Embedded::usual());
}

mod small {
    factum::store_contract!(super::Embedded::small());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, max_shrink_iters: 300, ..ProptestConfig::default() })]

    /// A failure is shrunk to the operations that it takes.
    #[test]
    fn random_operations_agree_with_the_store_in_memory(seed: u64, kept in vec(weighted(0.9), 200)) {
        let operations = model::operations(seed, kept.len()).into_iter().zip(kept);
        let operations: Vec<_> = operations.filter_map(|(operation, is_kept)| is_kept.then_some(operation)).collect();
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let compared = runtime.block_on(model::compare(&Embedded::small(), &operations));
        prop_assert!(compared.is_ok(), "{}\n{operations:#?}", compared.unwrap_err());
    }
}
