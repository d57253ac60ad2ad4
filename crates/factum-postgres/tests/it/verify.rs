//! Verification finds whatever is not as it was recorded.

use factum::{Append, Metadata, NewEvent, Payload, Store, StoreErrorKind};
use factum_postgres::{Logs, PostgresStore, Verified};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};

use crate::support::database;
use crate::writers::Writers;

async fn filled(url: &str) -> PostgresStore {
    let store = factum_postgres::open(url).await.unwrap();
    for number in 0..30 {
        let stream = format!("order-{}", number % 7);
        let event = NewEvent::new(stream.parse().unwrap(), "Ordered", Payload::json("{}")).unwrap();
        let tags = vec!["all:1".parse().unwrap(), "all:1".parse().unwrap(), format!("order:{number}").parse().unwrap()];
        let cause = Metadata { causation_id: Some(event.id), correlation_id: Some("c".to_owned()), ..Metadata::default() };
        store.append(Append::new(vec![NewEvent { tags, metadata: cause, ..event }])).await.unwrap();
    }
    store
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_log_that_others_append_to_is_found_to_be_right() {
    let url = database().await;
    let store = filled(&url).await;
    assert_eq!(store.verify(&mut |_, _| {}).await.unwrap(), Verified { events: 30, archived: 0, streams: 7 });
    let writers = Writers::start(&url, "main", std::time::Duration::from_millis(5));
    let mut events = 0;
    while events < 500 {
        let mut seen = 0;
        let verified = store.verify(&mut |done, of| seen = done + u64::from(done == of)).await.unwrap();
        assert_eq!(seen, verified.events + 1, "it was not told that it is done");
        events = verified.events;
    }
    writers.stop();
}

#[tokio::test]
async fn an_archived_log_and_an_empty_one_are_found_to_be_right() {
    let url = database().await;
    let name = url.rsplit('/').next().unwrap().split('?').next().unwrap();
    let mut connection = PgConnection::connect(&url).await.unwrap();
    let span = AssertSqlSafe(format!("ALTER DATABASE \"{name}\" SET factum.partition_span = '10'"));
    connection.execute(span).await.unwrap();
    let store = filled(&url).await;
    for archived in [10, 20, 30] {
        Logs::at(&url).unwrap().detach_oldest().await.unwrap();
        assert_eq!(store.verify(&mut |_, _| {}).await.unwrap(), Verified { events: 30, archived, streams: 7 });
    }
    let empty = factum_postgres::Options::default().log("empty").open(&url).await.unwrap();
    assert_eq!(empty.verify(&mut |_, _| {}).await.unwrap(), Verified { events: 0, archived: 0, streams: 0 });
}

#[tokio::test]
async fn whatever_is_changed_behind_its_back_is_found() {
    let url = database().await;
    let store = filled(&url).await;
    let mut connection = PgConnection::connect(&url).await.unwrap();
    for (damage, found) in [
        ("DELETE FROM factum.events WHERE position = 30", "the last event is at 29"),
        ("DELETE FROM factum.events WHERE position = 17", "position 17 is missing"),
        ("UPDATE factum.events SET position = 31 WHERE position = 30", "the last event is at 31"),
        ("UPDATE factum.events SET recorded_at = 1 WHERE position = 9", "position 9: the time goes back"),
        ("UPDATE factum.events SET version = 3 WHERE position = 9", "position 9: the version before it"),
        ("UPDATE factum.events SET stream = 'order-9' WHERE position = 9", "position 9: its category is not that of its stream"),
        ("UPDATE factum.events SET category = 'orders' WHERE position = 9", "position 9: its category is not"),
        ("UPDATE factum.events SET correlation = NULL WHERE position = 9", "position 9: it is not found by its correlation"),
        (
            "UPDATE factum.events SET causation = NULL WHERE position = 9",
            "position 9: it is not found by its correlation or cause",
        ),
        ("UPDATE factum.events SET id = gen_random_uuid() WHERE position = 9", "position 9: its id is not known"),
        ("UPDATE factum.events SET type = 'Other' WHERE position = 9", "position 9: a tag of it is not known"),
        ("UPDATE factum.events SET tags = NULL WHERE position = 9", "60 tags are known, and the events have 58"),
        ("UPDATE factum.events SET metadata = '{' WHERE position = 9", "a row is no event"),
        ("DELETE FROM factum.ids WHERE position = 9", "ids are known: 29"),
        ("UPDATE factum.ids SET position = 8 WHERE position = 9", "position 9: its id is not known as its own"),
        ("INSERT INTO factum.ids VALUES (1, gen_random_uuid(), 9)", "ids are known: 31"),
        ("DELETE FROM factum.tags WHERE position = 9 AND tag = 'all:1'", "position 9: a tag of it is not known"),
        ("INSERT INTO factum.tags VALUES (1, 'all:2', 9, 'Ordered')", "61 tags are known, and the events have 60"),
        ("DELETE FROM factum.streams WHERE stream = 'order-2'", "6 streams are known, and the versions of 7"),
        (
            "UPDATE factum.streams SET first_position = 9 WHERE stream = 'order-2'",
            "position 3: its stream is not known to begin so",
        ),
        ("UPDATE factum.streams SET first_at = 9 WHERE stream = 'order-2'", "position 3: its stream is not known to begin so"),
        ("UPDATE factum.versions SET version = 9 WHERE stream = 'order-2'", "versions add up to 35"),
        ("UPDATE factum.versions SET position = 9 WHERE stream = 'order-2'", "its stream is not known to be at its version"),
        ("UPDATE factum.heads SET head = 29", "the head is 29, and the last event is at 30"),
        ("UPDATE factum.heads SET head = 31", "the head is 31, and the last event is at 30"),
    ] {
        connection.execute("CREATE SCHEMA kept; SET factum.drops_log = 'yes'").await.unwrap();
        for table in TABLES {
            connection.execute(AssertSqlSafe(format!("CREATE TABLE kept.{table} AS TABLE factum.{table}"))).await.unwrap();
        }
        connection.execute(damage).await.unwrap();
        let error = store.verify(&mut |_, _| {}).await.expect_err(damage);
        assert_eq!(error.kind(), StoreErrorKind::Corrupt, "{damage}: {error}");
        assert!(error.to_string().contains(found), "{damage}: {error}");
        for table in TABLES {
            let mended = format!("DELETE FROM factum.{table}; INSERT INTO factum.{table} SELECT * FROM kept.{table}");
            connection.execute(AssertSqlSafe(mended)).await.unwrap();
        }
        connection.execute("DROP SCHEMA kept CASCADE").await.unwrap();
        store.verify(&mut |_, _| {}).await.unwrap();
    }
}

const TABLES: [&str; 6] = ["events", "ids", "tags", "streams", "versions", "heads"];
