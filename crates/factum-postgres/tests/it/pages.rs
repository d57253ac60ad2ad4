//! Pages: as much as fits, whatever the events are.

use std::time::Duration;

use factum::{Append, NewEvent, Payload, Query, Read, Store, limits};
use sqlx::{Connection, PgConnection};

use crate::support::database;

fn happened(json: String) -> NewEvent {
    NewEvent::new("a-1".parse().unwrap(), "Happened", Payload::json(json)).unwrap()
}

#[tokio::test]
async fn a_page_of_large_events_reads_the_data_of_its_own_alone() {
    let url = database().await;
    let store = factum_postgres::open(&url).await.unwrap();
    // One event fills a page.
    let large = || happened(format!("\"{}\"", "x".repeat(limits::PAGE_BYTES)));
    for _ in 0..40 {
        store.append(Append::new(vec![large()])).await.unwrap();
    }
    store.close().await;
    drop(store);
    let before = written(&url).await;
    let store = factum_postgres::open(&url).await.unwrap();
    assert_eq!(store.read(Read::new(Query::all())).await.unwrap().events.len(), 1);
    store.close().await;
    drop(store);
    let written = written(&url).await - before;
    assert!(written < 4 * limits::PAGE_BYTES as i64, "{written} bytes");
}

/// How many bytes statements did not keep in memory, and wrote to the disk: known once their sessions are over.
async fn written(url: &str) -> i64 {
    let mut connection = PgConnection::connect(url).await.unwrap();
    let others = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()";
    while 0 < sqlx::query_scalar::<_, i64>(others).fetch_one(&mut connection).await.unwrap() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let select = "SELECT temp_bytes FROM pg_stat_database WHERE datname = current_database()";
    sqlx::query_scalar(select).fetch_one(&mut connection).await.unwrap()
}

#[tokio::test]
async fn an_operator_sees_events_that_are_json_and_no_jsonb() {
    let url = database().await;
    let store = factum_postgres::open(&url).await.unwrap();
    let json = [r#"{"cents":1}"#, r#"{"name":"\u0000"}"#, "1e1000000"];
    store.append(Append::new(json.map(|json| happened(json.to_owned())).to_vec())).await.unwrap();
    let mut connection = PgConnection::connect(&url).await.unwrap();
    let select = "SELECT coalesce(json ->> 'cents', json #>> '{}') FROM factum.recorded ORDER BY position";
    let seen: Vec<String> = sqlx::query_scalar(select).fetch_all(&mut connection).await.unwrap();
    assert_eq!(seen, ["1", json[1], json[2]]);
}
