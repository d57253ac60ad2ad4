//! Appends that race, with a pause between every two statements of the function that records them: whatever could come between
//! two of them does. The same race, with a function that takes no turn, has to be seen to go wrong.

use std::collections::BTreeSet;
use std::time::Duration;

use factum::{
    Append, AppendError, EventId, Expected, NewEvent, Payload, Position, Query, Range, Read, Selector, Store, StreamName, Version,
};
use factum_postgres::{Options, PostgresStore};
use sqlx::{Connection, Executor, PgConnection};
use tokio::task::JoinSet;

use crate::support::database;

const STORES: usize = 4;
const WRITERS: usize = 12;
const APPENDS: usize = 12;
/// One of so many milliseconds, at random, in each place.
const PAUSE: &str = "PERFORM pg_sleep(random() * 0.004);";

/// The turn, which is kept to the commit.
const LOCK: &str = "PERFORM pg_advisory_xact_lock(1717658484, p_log);";

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn appends_that_race_with_pauses_between_all_statements_keep_the_laws() {
    let url = database().await;
    change_function(&url, with_pauses).await;
    race(&url).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_function_that_takes_no_turn_is_caught() {
    let url = database().await;
    let broken = |function: &str| {
        assert!(function.contains(LOCK), "the function takes its turn otherwise now: change this test with it");
        with_pauses(&function.replace(LOCK, ""))
    };
    change_function(&url, broken).await;
    let caught = race(&url).await.expect_err("the broken function goes unnoticed");
    println!("caught: {caught}");
}

/// Puts another function in the place of the one that appends.
async fn change_function(url: &str, change: impl Fn(&str) -> String) {
    factum_postgres::open(url).await.unwrap().close().await;
    let mut connection = PgConnection::connect(url).await.unwrap();
    let definition = "SELECT pg_get_functiondef('factum.append'::regproc)";
    let function: String = sqlx::query_scalar(definition).fetch_one(&mut connection).await.unwrap();
    connection.execute(sqlx::AssertSqlSafe(change(&function))).await.unwrap();
}

/// What a statement begins with.
const STATEMENTS: [&str; 10] =
    ["PERFORM ", "SELECT ", "IF ", "FOR ", "INSERT ", "RETURN", "UPDATE ", "DELETE ", "WITH ", "v_mark_rows :="];

/// A pause before each statement of the body, those in blocks included.
fn with_pauses(function: &str) -> String {
    let (mut lines, mut pauses, mut in_body) = (Vec::new(), 0, false);
    let mut before = String::new();
    for line in function.lines() {
        let is_statement = STATEMENTS.iter().any(|word| line.trim_start().starts_with(word));
        // A statement begins after another has ended, or with a block. What was found is asked right after it was looked for.
        let ended = before.ends_with(';') || ["THEN", "ELSE", "LOOP"].iter().any(|word| before.ends_with(word));
        if in_body && is_statement && ended && !line.contains("FOUND") {
            lines.push(PAUSE);
            pauses += 1;
        }
        lines.push(line);
        in_body |= line == "BEGIN";
        if !line.trim_start().starts_with("--") {
            before = line.to_owned();
        }
    }
    assert!(15 < pauses, "the function has {pauses} places to pause at");
    lines.join("\n")
}

fn event(stream: &StreamName) -> NewEvent {
    let event = NewEvent::new(stream.clone(), "Happened", Payload::json("{}")).unwrap();
    NewEvent { tags: vec!["course:c1".parse().unwrap()], ..event }
}

/// Writers on streams of their own and on one that they share, decisions on a tag, and a reader; what is wrong with it.
async fn race(url: &str) -> Result<(), String> {
    let mut stores = Vec::new();
    for _ in 0..STORES {
        let patience = Duration::from_secs(60);
        stores.push(Options::default().patience(patience).open(url).await.map_err(|error| error.to_string())?);
    }
    let mut writers = JoinSet::new();
    for number in 0..WRITERS {
        writers.spawn(write(stores[number % STORES].clone(), number));
    }
    let reader = tokio::spawn(follow(stores[0].clone()));
    let mut written = BTreeSet::new();
    for outcome in writers.join_all().await {
        written.extend(outcome?);
    }
    stores[0].append(Append::new(vec![event(&"end-1".parse().unwrap())])).await.map_err(|error| error.to_string())?;
    let read = tokio::time::timeout(Duration::from_secs(60), reader).await.map_err(|_| "the reader missed the end")?;
    let read = read.map_err(|error| error.to_string())??;
    match read == written {
        true => Ok(()),
        false => Err(format!("{} events were read, and {} acknowledged", read.len(), written.len())),
    }
}

/// In turns: the next version of a stream of its own, and an event that nobody else with its tag has come before.
async fn write(store: PostgresStore, number: usize) -> Result<Vec<EventId>, String> {
    let stream: StreamName = format!("own-{number}").parse().unwrap();
    let (mut written, mut version) = (Vec::new(), Version::EMPTY);
    for count in 0..APPENDS {
        let new = event(&stream);
        let id = new.id;
        let append = Append::new(vec![new]);
        let append = match count % 2 {
            0 => append.expect(stream.clone(), Expected::Exact(version)),
            _ => {
                let after = store.head().await.map_err(|error| error.to_string())?;
                append.condition(Selector::tagged("course", "c1").unwrap().into(), after)
            }
        };
        match store.append(append).await {
            Ok(appended) => {
                version = appended.versions[0].1;
                if version.get() != written.len() as u64 + 1 {
                    return Err(format!("{stream} is at version {version} after {} events", written.len() + 1));
                }
                written.push(id);
            }
            Err(AppendError::Conflict(_)) if count % 2 == 1 => {}
            Err(error) => return Err(error.to_string()),
        }
    }
    Ok(written)
}

/// The events up to the last one, each at the next position.
async fn follow(store: PostgresStore) -> Result<BTreeSet<EventId>, String> {
    let (mut ids, mut after) = (BTreeSet::new(), Position::START);
    loop {
        let page = store.read(Read::new(Query::all()).range(Range::after(after))).await.map_err(|error| error.to_string())?;
        for event in &page.events {
            if event.position != after.next() {
                return Err(format!("{} comes after {after}", event.position));
            }
            after = event.position;
            if event.stream.as_str() == "end-1" {
                return Ok(ids);
            }
            ids.insert(event.id);
        }
        if page.events.is_empty() {
            store.changed(after).await;
        }
    }
}
