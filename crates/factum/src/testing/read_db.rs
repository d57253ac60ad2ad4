//! The contract of a read database: rules that each [`ReadDb`] keeps, to be run against one of yours.
//!
//! ```no_run
//! # async fn run(backend: impl factum::testing::read_db::Backend) {
//! factum::testing::read_db::check(&backend).await; // in a test of the backend's crate
//! # }
//! ```

use std::collections::BTreeMap;
use std::future::Future;

use tokio::task::JoinSet;

use crate::{HandlerError, ReadDb, ReadModelName};

/// How the rules reach a database: it makes a table of numbers by key, which queries find by a plain name.
pub trait Backend: Sync {
    /// The database.
    type Db: ReadDb;

    /// An empty one.
    fn open(&self) -> impl Future<Output = Self::Db> + Send;

    /// Makes the table.
    ///
    /// # Errors
    /// What the database says.
    fn create(&self, tx: &mut <Self::Db as ReadDb>::Tx) -> impl Future<Output = Result<(), HandlerError>> + Send;

    /// Writes a number, in the place of one that the key had.
    ///
    /// # Errors
    /// What the database says.
    fn put(
        &self,
        tx: &mut <Self::Db as ReadDb>::Tx,
        key: &str,
        number: i64,
    ) -> impl Future<Output = Result<(), HandlerError>> + Send;

    /// The live table of a projection, as a query finds it; empty where there is none.
    fn live(&self, db: &Self::Db, projection: &str) -> impl Future<Output = BTreeMap<String, i64>> + Send;
}

/// Runs every rule.
///
/// # Panics
/// Where one is broken, with its name in the backtrace and what was seen.
pub async fn check<B: Backend>(backend: &B) {
    what_a_transaction_did_is_kept_when_it_commits(backend).await;
    what_a_dropped_transaction_did_is_gone(backend).await;
    a_record_is_replaced_where_it_is_as_was_known(backend).await;
    others_see_a_transaction_when_it_commits(backend).await;
    of_those_that_replace_one_value_one_does(backend).await;
    records_are_listed_by_prefix_in_the_order_of_their_bytes(backend).await;
    a_published_table_takes_the_place_of_the_live_one(backend).await;
    a_reader_sees_the_old_table_or_the_new(backend).await;
    dropped_tables_are_gone_and_others_stay(backend).await;
    the_clock_does_not_go_back(backend).await;
}

fn model(version: u32) -> ReadModelName {
    ReadModelName::new("numbers", version).expect("it is a name")
}

fn numbers(numbers: &[(&str, i64)]) -> BTreeMap<String, i64> {
    numbers.iter().map(|(key, number)| ((*key).to_owned(), *number)).collect()
}

/// A table with these numbers, live.
async fn publish<B: Backend>(backend: &B, db: &B::Db, version: u32, numbers: &[(&str, i64)]) {
    let mut tx = fill(backend, db, version, numbers).await;
    db.publish(&mut tx).await.unwrap();
    db.commit(tx).await.unwrap();
}

/// A transaction that made a table with these numbers.
async fn fill<B: Backend>(backend: &B, db: &B::Db, version: u32, numbers: &[(&str, i64)]) -> <B::Db as ReadDb>::Tx {
    let mut tx = db.begin(&model(version)).await.unwrap();
    backend.create(&mut tx).await.unwrap();
    for (key, number) in numbers {
        backend.put(&mut tx, key, *number).await.unwrap();
    }
    tx
}

async fn record<D: ReadDb>(db: &D, key: &str) -> Option<String> {
    let found = db.records(key, "", 1).await.unwrap().into_iter().next();
    found.filter(|record| record.key == key).map(|record| record.value)
}

/// Replaces in a transaction of its own.
async fn replace<D: ReadDb>(db: &D, key: &str, old: Option<&str>, new: Option<&str>) -> bool {
    let mut tx = db.begin(&model(1)).await.unwrap();
    let replaced = db.replace(&mut tx, key, old, new).await.unwrap();
    db.commit(tx).await.unwrap();
    replaced
}

async fn what_a_transaction_did_is_kept_when_it_commits<B: Backend>(backend: &B) {
    let db = backend.open().await;
    publish(backend, &db, 1, &[("a", 1)]).await;
    let mut tx = db.begin(&model(1)).await.unwrap();
    backend.put(&mut tx, "a", 2).await.unwrap();
    backend.put(&mut tx, "b", 3).await.unwrap();
    assert!(db.replace(&mut tx, "key", None, Some("value")).await.unwrap());
    db.commit(tx).await.unwrap();
    assert_eq!(backend.live(&db, "numbers").await, numbers(&[("a", 2), ("b", 3)]));
    assert_eq!(record(&db, "key").await.as_deref(), Some("value"));
}

async fn what_a_dropped_transaction_did_is_gone<B: Backend>(backend: &B) {
    let db = backend.open().await;
    publish(backend, &db, 1, &[("a", 1)]).await;
    let mut tx = db.begin(&model(1)).await.unwrap();
    backend.put(&mut tx, "a", 2).await.unwrap();
    assert!(db.replace(&mut tx, "key", None, Some("value")).await.unwrap());
    drop(tx);
    assert_eq!(backend.live(&db, "numbers").await, numbers(&[("a", 1)]));
    assert_eq!(record(&db, "key").await, None);
    // A table that was not kept can be made again.
    drop(fill(backend, &db, 2, &[("b", 1)]).await);
    publish(backend, &db, 2, &[("c", 1)]).await;
    assert_eq!(backend.live(&db, "numbers").await, numbers(&[("c", 1)]));
}

async fn a_record_is_replaced_where_it_is_as_was_known<B: Backend>(backend: &B) {
    let db = backend.open().await;
    assert!(!replace(&db, "key", Some("old"), Some("new")).await, "there is none yet");
    assert!(!replace(&db, "key", Some("old"), None).await, "there is none yet");
    assert!(replace(&db, "key", None, Some("old")).await);
    assert!(!replace(&db, "key", None, Some("new")).await, "there is one");
    assert!(!replace(&db, "key", Some("older"), Some("new")).await, "it is another");
    assert!(!replace(&db, "key", Some("OLD"), Some("new")).await, "it is another");
    assert_eq!(record(&db, "key").await.as_deref(), Some("old"));
    assert!(replace(&db, "key", Some("old"), Some("new 'quoted' \"too\" é\0")).await);
    assert_eq!(record(&db, "key").await.as_deref(), Some("new 'quoted' \"too\" é\0"));
    assert!(!replace(&db, "key", Some("old"), None).await, "it is another");
    assert!(replace(&db, "key", Some("new 'quoted' \"too\" é\0"), None).await);
    assert_eq!(record(&db, "key").await, None);
}

async fn others_see_a_transaction_when_it_commits<B: Backend>(backend: &B) {
    let db = backend.open().await;
    assert!(replace(&db, "key", None, Some("old")).await);
    let mut tx = db.begin(&model(1)).await.unwrap();
    assert!(db.replace(&mut tx, "key", Some("old"), Some("new")).await.unwrap());
    assert_eq!(db.record(&mut tx, "key").await.unwrap().as_deref(), Some("new"), "it sees itself");
    assert!(db.replace(&mut tx, "key", Some("new"), Some("newer")).await.unwrap(), "it replaces what it wrote");
    assert_eq!(record(&db, "key").await.as_deref(), Some("old"), "others do not see it");
    db.commit(tx).await.unwrap();
    assert_eq!(record(&db, "key").await.as_deref(), Some("newer"));
}

async fn of_those_that_replace_one_value_one_does<B: Backend>(backend: &B) {
    const RACERS: i64 = 8;
    const ROUNDS: i64 = 12;
    let db = backend.open().await;
    assert!(replace(&db, "key", None, Some("0")).await);
    for round in 0..ROUNDS {
        let mut racers = JoinSet::new();
        for _ in 0..RACERS {
            let db = db.clone();
            racers.spawn(async move { race(&db, &round.to_string(), &(round + 1).to_string()).await });
        }
        let won = racers.join_all().await.into_iter().filter(|won| *won).count();
        assert_eq!(won, 1, "in round {round}");
    }
}

/// Replaces; a failure of the database, such as one of serialization, is no success.
async fn race<D: ReadDb>(db: &D, old: &str, new: &str) -> bool {
    let Ok(mut tx) = db.begin(&model(1)).await else { return false };
    // Others come in between, where that is possible.
    tokio::task::yield_now().await;
    let replaced = db.replace(&mut tx, "key", Some(old), Some(new)).await;
    tokio::task::yield_now().await;
    matches!(replaced, Ok(true)) && db.commit(tx).await.is_ok()
}

async fn records_are_listed_by_prefix_in_the_order_of_their_bytes<B: Backend>(backend: &B) {
    let db = backend.open().await;
    for key in ["rules/b", "rules/a/2", "rules/é", "rules/a/10", "rules/B", "rule", "rulesx", "rules/", "rules/a"] {
        assert!(replace(&db, key, None, Some(key)).await);
    }
    let keys = async |prefix: &str, after: &str, limit: usize| -> Vec<String> {
        db.records(prefix, after, limit).await.unwrap().into_iter().map(|record| record.key).collect()
    };
    let all = ["rules/", "rules/B", "rules/a", "rules/a/10", "rules/a/2", "rules/b", "rules/é"];
    assert_eq!(keys("rules/", "", 100).await, all);
    assert_eq!(keys("rules/", "rules/a", 2).await, all[3..5]);
    assert_eq!(keys("rules/a/", "rules/a/10", 100).await, ["rules/a/2"]);
    assert_eq!(keys("rules/a/", "rules/b", 100).await, [""; 0]);
    assert_eq!(keys("rules/none", "", 100).await, [""; 0]);
}

async fn a_published_table_takes_the_place_of_the_live_one<B: Backend>(backend: &B) {
    let db = backend.open().await;
    assert_eq!(backend.live(&db, "numbers").await, numbers(&[]));
    publish(backend, &db, 1, &[("a", 1)]).await;
    let mut tx = fill(backend, &db, 2, &[("a", 2)]).await;
    db.publish(&mut tx).await.unwrap();
    assert_eq!(backend.live(&db, "numbers").await, numbers(&[("a", 1)]), "until it commits");
    drop(tx);
    assert_eq!(backend.live(&db, "numbers").await, numbers(&[("a", 1)]), "since it did not commit");
    publish(backend, &db, 2, &[("a", 3)]).await;
    assert_eq!(backend.live(&db, "numbers").await, numbers(&[("a", 3)]));
    // The former one is there still, and does not show.
    let mut tx = db.begin(&model(1)).await.unwrap();
    backend.put(&mut tx, "a", 4).await.unwrap();
    db.commit(tx).await.unwrap();
    assert_eq!(backend.live(&db, "numbers").await, numbers(&[("a", 3)]));
}

async fn a_reader_sees_the_old_table_or_the_new<B: Backend>(backend: &B) {
    const SWAPS: u32 = 20;
    let db = backend.open().await;
    publish(backend, &db, 1, &[("a", 1), ("b", 1)]).await;
    let swaps = async {
        for version in 2..=SWAPS {
            let number = i64::from(version);
            let mut tx = fill(backend, &db, version, &[("a", number)]).await;
            db.publish(&mut tx).await.unwrap();
            tokio::task::yield_now().await;
            backend.put(&mut tx, "b", number).await.unwrap();
            db.commit(tx).await.unwrap();
        }
    };
    let mut swaps = std::pin::pin!(swaps);
    let mut done = false;
    while !done {
        let mut read = std::pin::pin!(backend.live(&db, "numbers"));
        // Both go on in turn, as far as each can.
        let seen = std::future::poll_fn(|context| {
            done = done || swaps.as_mut().poll(context).is_ready();
            read.as_mut().poll(context)
        })
        .await;
        assert_eq!(seen.len(), 2, "{seen:?}");
        assert_eq!(seen["a"], seen["b"], "{seen:?}");
    }
    assert_eq!(backend.live(&db, "numbers").await["a"], i64::from(SWAPS));
}

async fn dropped_tables_are_gone_and_others_stay<B: Backend>(backend: &B) {
    let db = backend.open().await;
    publish(backend, &db, 1, &[("a", 1)]).await;
    db.commit(fill(backend, &db, 2, &[("a", 2)]).await).await.unwrap();
    db.commit(fill(backend, &db, 12, &[("a", 12)]).await).await.unwrap();
    let mut tx = db.begin(&model(2)).await.unwrap();
    db.drop_tables(&mut tx).await.unwrap();
    db.commit(tx).await.unwrap();
    assert_eq!(backend.live(&db, "numbers").await, numbers(&[("a", 1)]));
    // It can be made again, and is empty then; another whose name begins alike was not dropped with it.
    publish(backend, &db, 2, &[]).await;
    assert_eq!(backend.live(&db, "numbers").await, numbers(&[]));
    let mut tx = db.begin(&model(12)).await.unwrap();
    backend.put(&mut tx, "b", 12).await.unwrap();
    db.publish(&mut tx).await.unwrap();
    db.commit(tx).await.unwrap();
    assert_eq!(backend.live(&db, "numbers").await, numbers(&[("a", 12), ("b", 12)]));
    // The live one takes its plain name along.
    let mut tx = db.begin(&model(12)).await.unwrap();
    db.drop_tables(&mut tx).await.unwrap();
    db.commit(tx).await.unwrap();
    assert_eq!(backend.live(&db, "numbers").await, numbers(&[]));
}

async fn the_clock_does_not_go_back<B: Backend>(backend: &B) {
    let db = backend.open().await;
    let mut last = db.now().await.unwrap();
    for _ in 0..10 {
        let now = db.now().await.unwrap();
        assert!(last <= now, "{now} after {last}");
        last = now;
    }
}
