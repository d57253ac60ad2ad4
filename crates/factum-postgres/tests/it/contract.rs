//! The store on PostgreSQL against the laws, beside another log that is busy all the time.

use std::sync::atomic::{AtomicU32, Ordering};

use factum::testing::ManualClock;
use factum::testing::store::{Backend, model};
use factum_postgres::{Options, PostgresStore};
use proptest::bool::weighted;
use proptest::collection::vec;
use proptest::prelude::{ProptestConfig, prop_assert, proptest};

use crate::support::{busy_log, url};

/// Each store is a log of one database.
struct Logs;

static CREATED: AtomicU32 = AtomicU32::new(0);

async fn open(log: &str, clock: ManualClock) -> PostgresStore {
    Options::default().log(log).clock(clock).connections(3).open(&url()).await.unwrap()
}

impl Backend for Logs {
    type Store = PostgresStore;

    async fn create(&self, clock: ManualClock) -> PostgresStore {
        busy_log();
        let number = CREATED.fetch_add(1, Ordering::Relaxed);
        open(&format!("contract-{}-{number}", std::process::id()), clock).await
    }

    async fn reopen(&self, store: PostgresStore, clock: ManualClock) -> Option<PostgresStore> {
        store.close().await;
        Some(open(store.log(), clock).await)
    }
}

factum::store_contract!(Logs);

proptest! {
    #![proptest_config(ProptestConfig { cases: 10, max_shrink_iters: 100, ..ProptestConfig::default() })]

    /// A failure is shrunk to the operations that it takes.
    #[test]
    fn random_operations_agree_with_the_store_in_memory(seed: u64, kept in vec(weighted(0.9), 200)) {
        let operations = model::operations(seed, kept.len()).into_iter().zip(kept);
        let operations: Vec<_> = operations.filter_map(|(operation, is_kept)| is_kept.then_some(operation)).collect();
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let compared = runtime.block_on(model::compare(&Logs, &operations));
        prop_assert!(compared.is_ok(), "{}\n{operations:#?}", compared.unwrap_err());
    }
}
