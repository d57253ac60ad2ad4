//! Nothing waits for ever, and nothing is left behind that waits.

use std::time::{Duration, Instant};

use factum::{
    Append, Expected, Log, NewEvent, Payload, Position, Query, ReadStreams, Store, StoreErrorKind, StreamName, Version,
};
use factum_postgres::testing::Server;
use factum_postgres::{Logs, OWN_TURN_MAX, Options, PostgresStore};
use sqlx::{Connection, Executor, PgConnection};
use tokio_util::sync::CancellationToken;

use crate::support::database;

const PATIENCE: Duration = Duration::from_secs(60);

fn happened() -> Append {
    Append::new(vec![NewEvent::new("a-1".parse().unwrap(), "Happened", Payload::json("{}")).unwrap()])
}

/// What a subscription to all events of a store, after a position, ends with.
async fn end_of_subscription(store: &PostgresStore, after: u64) -> StoreErrorKind {
    let mut subscription = Log::new(store.clone()).subscribe(Query::all(), Position::new(after), CancellationToken::new());
    let ended = async {
        loop {
            if let Err(error) = subscription.next().await {
                return error.kind();
            }
        }
    };
    tokio::time::timeout(PATIENCE, ended).await.expect("it does not end")
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_follows_a_log_that_is_dropped_is_told() {
    let url = database().await;
    let store = Options::default().log("short").open(&url).await.unwrap();
    store.append(happened()).await.unwrap();
    let following = tokio::spawn({
        let store = store.clone();
        async move { end_of_subscription(&store, 1).await }
    });
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(Logs::at(&url).unwrap().drop("short").await.unwrap());
    // Another log of the name is another log.
    Options::default().log("short").open(&url).await.unwrap().append(happened()).await.unwrap();
    assert_eq!(following.await.unwrap(), StoreErrorKind::NotFound);
    assert_eq!(store.streams(ReadStreams::default()).await.unwrap_err().kind(), StoreErrorKind::NotFound);
    assert_eq!(store.consumed("c".parse().unwrap()).await.unwrap_err().kind(), StoreErrorKind::NotFound);
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_follows_a_log_that_lost_its_last_events_waits_for_new_ones() {
    let url = database().await;
    let store = factum_postgres::open(&url).await.unwrap();
    for _ in 0..5 {
        store.append(happened()).await.unwrap();
    }
    // As where another server took over that had not got them.
    let mut connection = PgConnection::connect(&url).await.unwrap();
    for statement in [
        "SET factum.drops_log = 'yes'",
        "DELETE FROM factum.events WHERE 3 < position",
        "DELETE FROM factum.ids WHERE 3 < position",
        "UPDATE factum.versions SET version = 3, position = 3",
        "UPDATE factum.heads SET head = 3",
    ] {
        connection.execute(statement).await.unwrap();
    }
    let mut subscription = Log::new(store.clone()).subscribe(Query::all(), Position::new(3), CancellationToken::new());
    let following = tokio::spawn(async move { subscription.next().await.unwrap().unwrap().events[0].position });
    // While it waits, the head is looked at now and then alone. Sessions say once a second what they did.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let before = committed(&mut connection).await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    let looks = committed(&mut connection).await - before;
    assert!(looks < 100, "{looks} looks in 3 s");
    store.append(happened()).await.unwrap();
    assert_eq!(tokio::time::timeout(PATIENCE, following).await.unwrap().unwrap(), Position::new(4));
}

/// How many transactions were committed in the database.
async fn committed(connection: &mut PgConnection) -> i64 {
    connection.execute("SELECT pg_stat_clear_snapshot()").await.unwrap();
    let select = "SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()";
    sqlx::query_scalar(select).fetch_one(connection).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_append_that_waits_for_the_logs_turn_leaves_nobody_waiting() {
    let url = database().await;
    let store = Options::default().patience(Duration::from_secs(10)).open(&url).await.unwrap();
    let mut other = PgConnection::connect(&url).await.unwrap();
    other.execute("BEGIN; SELECT pg_advisory_xact_lock(1717658484, log) FROM factum.logs").await.unwrap();
    let refused = store.append(happened()).await.unwrap_err().to_string();
    assert!(refused.contains("another transaction has it"), "{refused}");
    let waiting: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM pg_locks l JOIN pg_database d ON d.oid = l.database
         WHERE d.datname = current_database() AND l.locktype = 'advisory' AND NOT l.granted",
    )
    .fetch_one(&mut other)
    .await
    .unwrap();
    assert_eq!(waiting, 0);
    other.execute("ROLLBACK").await.unwrap();
    store.append(happened()).await.unwrap();
    // It is the function that bounds it, and says so in its own words.
    let bounds = "SELECT proconfig FROM pg_proc WHERE oid = 'factum.append'::regproc";
    let bounds: Vec<String> = sqlx::query_scalar(bounds).fetch_one(&mut other).await.unwrap();
    assert!(bounds.contains(&format!("lock_timeout={}s", OWN_TURN_MAX.as_secs())), "{bounds:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_is_closed_within_its_patience_however_many_appends_wait() {
    let server = Server::start(&[]);
    let patience = Duration::from_secs(2);
    let store = Options::default().patience(patience).open(&server.url()).await.unwrap();
    store.append(happened()).await.unwrap();
    server.stop();
    let mut appends = tokio::task::JoinSet::new();
    let stream: StreamName = "a-1".parse().unwrap();
    for version in 1..=20 {
        // Each depends on the one before it, so none of them are called together.
        let (store, append) = (store.clone(), happened().expect(stream.clone(), Expected::Exact(Version::new(version))));
        appends.spawn(async move { store.append(append).await.unwrap_err() });
    }
    tokio::time::sleep(Duration::from_millis(100)).await;
    let begun = Instant::now();
    store.close().await;
    assert!(begun.elapsed() < 5 * patience, "it took {:?}", begun.elapsed());
    assert_eq!(appends.join_all().await.len(), 20);
}
