//! A pooler in between: what it can carry works, and what it cannot is said.

use std::time::Duration;

use factum::{Append, AppendError, NewEvent, Payload, Position, Query, Range, Read, Store, StoreError, StoreErrorKind};
use factum_postgres::testing::{Pooler, Server};
use factum_postgres::{Options, PostgresStore};

use crate::support::database;

const EVENTS: u64 = 20;

fn event() -> NewEvent {
    NewEvent::new("a-1".parse().unwrap(), "Happened", Payload::json("{}")).unwrap()
}

/// Where a new database is by way of the pooler, and without it.
async fn through(pooler: &Pooler) -> (String, String) {
    let direct = database().await;
    let name = direct.rsplit('/').next().unwrap().split('?').next().unwrap().to_owned();
    (pooler.database(&name), direct)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_pooler_that_shares_connections_by_sessions_carries_everything() {
    let pooler = Pooler::start(Server::shared(), "session", 20);
    let (url, _) = through(&pooler).await;
    let (one, other) = (factum_postgres::open(&url).await.unwrap(), factum_postgres::open(&url).await.unwrap());
    for number in 0..EVENTS {
        let after = Position::new(number);
        let changed = tokio::spawn({
            let other = other.clone();
            async move { other.changed(after).await }
        });
        one.append(Append::new(vec![event()])).await.unwrap();
        tokio::time::timeout(Duration::from_secs(30), changed).await.unwrap().unwrap();
        assert_eq!(other.read(Read::new(Query::all()).range(Range::after(after))).await.unwrap().events.len(), 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_pooler_that_shares_them_by_transactions_and_forgets_statements_is_refused_with_advice() {
    // With one connection to share, the second one who prepares a statement is in the way of the first.
    let pooler = Pooler::start(Server::shared(), "transaction", 1);
    let (url, direct) = through(&pooler).await;
    let opened = factum_postgres::open(&direct).await.unwrap();
    let (mut recorded, mut refused) = (0, Vec::new());
    for _ in 0..3 {
        refused.extend(append(&url, &mut recorded).await.err());
    }
    for error in &refused {
        assert_eq!(error.kind(), StoreErrorKind::Unsupported, "{error}");
        assert!(error.to_string().contains("max_prepared_statements"), "{error}");
    }
    assert_eq!(opened.head().await.unwrap(), Position::new(recorded));
    // A newer one may keep the statements.
    assert!(!refused.is_empty() || recorded == 3 * EVENTS, "{recorded} events, and nothing refused");
}

/// Appends by way of two stores, and counts what is recorded.
async fn append(url: &str, recorded: &mut u64) -> Result<(), StoreError> {
    let open = || Options::default().patience(Duration::from_secs(2)).open(url);
    let stores: [PostgresStore; 2] = [open().await?, open().await?];
    for number in 0..EVENTS {
        match stores[number as usize % 2].append(Append::new(vec![event()])).await {
            Ok(_) => *recorded += 1,
            Err(AppendError::Store(error)) => return Err(error),
            Err(error) => panic!("{error}"),
        }
    }
    Ok(())
}
