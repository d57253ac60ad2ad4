//! What a standby has, and the primary has not, is shown to nobody.

use std::time::Duration;

use factum::{Append, EventId, NewEvent, Payload, Position, Query, Read, Store, StoreErrorKind};
use factum_postgres::testing::Server;
use factum_postgres::{Options, PostgresStore};
use sqlx::{Connection, Executor, PgConnection};

/// A store that reads from the standby of two servers.
async fn reading(primary: &Server, standby: &Server) -> PostgresStore {
    let host = |server: &Server| format!("127.0.0.1:{}", server.port());
    let url = format!("postgres://postgres@{},{}/postgres?sslmode=disable", host(primary), host(standby));
    Options::default().standbys(true).patience(Duration::from_secs(1)).open(&url).await.unwrap()
}

/// Appends so many events to a server; their ids.
async fn append(server: &Server, count: usize) -> Vec<EventId> {
    let store = factum_postgres::open(&server.url()).await.unwrap();
    let mut ids = Vec::new();
    for _ in 0..count {
        let event = NewEvent::new("a-1".parse().unwrap(), "Happened", Payload::json("{}")).unwrap();
        ids.push(event.id);
        store.append(Append::new(vec![event])).await.unwrap();
    }
    store.close().await;
    ids
}

async fn shown(store: &PostgresStore) -> Vec<EventId> {
    let page = store.read(Read::new(Query::all())).await.unwrap();
    assert_eq!(page.head, Position::new(page.events.len() as u64));
    page.events.iter().map(|event| event.id).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_standby_that_was_ahead_when_the_primary_failed_shows_what_both_have() {
    let failed = Server::start(&[]);
    let ids = append(&failed, 3).await;
    failed.stop();
    let (standby, primary) = (failed.copied(true), failed.copied(false));
    // The one that took over had not got the last event.
    let mut connection = PgConnection::connect(&primary.url()).await.unwrap();
    for statement in [
        "SET factum.drops_log = 'yes'",
        "DELETE FROM factum.events WHERE position = 3",
        "DELETE FROM factum.ids WHERE position = 3",
        "UPDATE factum.versions SET version = 2, position = 2",
        "UPDATE factum.heads SET head = 2",
    ] {
        connection.execute(statement).await.unwrap();
    }
    let store = reading(&primary, &standby).await;
    assert_eq!(shown(&store).await, ids[..2]);
    // What takes its place is another event.
    append(&primary, 1).await;
    assert_eq!(shown(&store).await, ids[..2]);
    assert_eq!(shown(&reading(&primary, &primary).await).await.len(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_standby_that_went_another_way_is_not_read_from() {
    let before = Server::start(&[]);
    append(&before, 2).await;
    before.stop();
    let (primary, other) = (before.copied(false), before.copied(false));
    append(&primary, 2).await;
    append(&other, 1).await;
    other.stop();
    let standby = other.copied(true);
    let store = reading(&primary, &standby).await;
    let refused = store.read(Read::new(Query::all())).await.unwrap_err();
    assert_eq!(refused.kind(), StoreErrorKind::Unavailable);
    assert!(refused.to_string().contains("the standby has what the primary has not"), "{refused}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn appends_go_to_the_newer_of_two_primaries_though_the_older_one_lives() {
    let before = Server::start(&[]);
    append(&before, 2).await;
    before.stop();
    let (older, newer) = (before.copied(false), before.copied(true));
    let url = format!("postgres://postgres@127.0.0.1:{},127.0.0.1:{}/postgres?sslmode=disable", older.port(), newer.port());
    let store = factum_postgres::open(&url).await.unwrap();
    let happened = || Append::new(vec![NewEvent::new("a-1".parse().unwrap(), "Happened", Payload::json("{}")).unwrap()]);
    store.append(happened()).await.unwrap();
    let mut connection = PgConnection::connect(&newer.url()).await.unwrap();
    connection.execute("SELECT pg_promote()").await.unwrap();

    let here = factum_postgres::open(&newer.url()).await.unwrap();
    let begun = std::time::Instant::now();
    while here.head().await.unwrap() == Position::new(2) {
        assert!(begun.elapsed() < Duration::from_secs(30), "appends still go to the older one");
        store.append(happened()).await.unwrap();
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
