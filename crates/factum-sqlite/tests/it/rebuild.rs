//! A read model is made again while it is written to and queried: no query fails, and none sees a part of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use factum::{Log, Phase, ReadModelName, ReadModels};
use factum_embedded::EmbeddedStore;
use factum_sqlite::SqliteDb;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::balances::{Balances, deposit, expected, rows, store_with};

/// At the start; a benchmark has more.
const EVENTS: u64 = 20_000;
const WRITERS: u64 = 2;
const READERS: usize = 4;
const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_rebuild_beside_writers_and_readers_is_seen_by_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let store = store_with(folder.path(), EVENTS).await;
    let log = Log::new(store.clone());
    let db = SqliteDb::temporary().await.unwrap();
    let shutdown = CancellationToken::new();
    let first = log.project(Balances::<1, 1>, db.clone()).start(&shutdown).await.unwrap();
    first.wait_for(log.head().await.unwrap(), PATIENCE).await.unwrap();

    let over = Arc::new(AtomicBool::new(false));
    let next = Arc::new(tokio::sync::Mutex::new(EVENTS + 1));
    let mut others = JoinSet::new();
    for _ in 0..WRITERS {
        others.spawn(write(store.clone(), next.clone(), over.clone()));
    }
    let queries = Arc::new(AtomicU64::new(0));
    for _ in 0..READERS {
        others.spawn(query(db.clone(), over.clone(), queries.clone()));
    }

    let second = log.project(Balances::<2, 2>, db.clone()).start(&shutdown).await.unwrap();
    let models = ReadModels::new(db.clone());
    // It is cancelled half-way, and begun again; then it is held, and resumed.
    let name: ReadModelName = "balances@2".parse().unwrap();
    models.pause(&name).await.unwrap();
    models.drop(&name).await.unwrap();
    second.ended().await;
    let second = log.project(Balances::<2, 2>, db.clone()).start(&shutdown).await.unwrap();
    models.throttle(&name, Some(2_000)).await.unwrap();
    models.pause(&name).await.unwrap();
    tokio::time::sleep(Duration::from_millis(400)).await;
    assert_eq!(models.get(&name).await.unwrap().phase, Phase::Filling);
    models.throttle(&name, None).await.unwrap();
    models.resume(&name).await.unwrap();
    let swapped = tokio::time::timeout(PATIENCE, live(&models, &name)).await;
    assert!(swapped.is_ok(), "no swap: {:?} of {:?}", second.status(), models.list().await);

    over.store(true, Ordering::SeqCst);
    while let Some(other) = others.join_next().await {
        other.unwrap();
    }
    let head = log.head().await.unwrap();
    second.wait_for(head, PATIENCE).await.unwrap();
    assert_eq!(rows(&db).await, expected(head.get()));
    assert!(0 < queries.load(Ordering::SeqCst) && EVENTS < head.get());
    models.drop(&"balances@1".parse().unwrap()).await.unwrap();
    first.ended().await;
    assert_eq!(rows(&db).await, expected(head.get()));
    let tables: Vec<String> =
        sqlx::query_scalar("SELECT name FROM sqlite_master WHERE name LIKE 'balances@%'").fetch_all(db.pool()).await.unwrap();
    assert_eq!(tables, ["balances@2.accounts"]);
    shutdown.cancel();
    second.ended().await;
}

async fn live(models: &ReadModels<SqliteDb>, name: &ReadModelName) {
    while models.live("balances").await.unwrap().as_ref() != Some(name) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Appends the deposits that come next, in their order.
async fn write(store: EmbeddedStore, next: Arc<tokio::sync::Mutex<u64>>, over: Arc<AtomicBool>) {
    while !over.load(Ordering::SeqCst) {
        let mut next = next.lock().await;
        deposit(&store, *next..=*next + 4).await;
        *next += 5;
        drop(next);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Looks at all accounts: none is missing, and no event that was in them ever goes.
async fn query(db: SqliteDb, over: Arc<AtomicBool>, queries: Arc<AtomicU64>) {
    let (mut least, sql) = ((0, 0), "SELECT count(*), sum(events) FROM accounts");
    while !over.load(Ordering::SeqCst) {
        let seen: (i64, i64) = sqlx::query_as(sql).fetch_one(db.pool()).await.unwrap();
        assert!(least <= seen, "{seen:?} after {least:?}");
        least = seen;
        queries.fetch_add(1, Ordering::SeqCst);
    }
}
