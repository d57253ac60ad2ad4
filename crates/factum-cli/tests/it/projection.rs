//! `factum projection`

use factum::{Backoff, Event, HandlerError, Log, OnFailure, Position, Projection, TypedEvent};
use factum_sqlite::{SqliteDb, SqliteTx};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::factum::Folder;

#[derive(Event)]
enum Happened {
    Counted,
    Refused,
}

/// Counts the events of each stream.
struct Counts;

impl Projection for Counts {
    const NAME: &'static str = "counts";
    const VERSION: u32 = 1;
    type Events = Happened;
    type Db = SqliteDb;

    async fn create(&self, tx: &mut SqliteTx) -> Result<(), HandlerError> {
        tx.query("CREATE TABLE {counts} (stream TEXT PRIMARY KEY, count INTEGER)").execute(tx.connection()).await?;
        Ok(())
    }

    async fn apply(&self, tx: &mut SqliteTx, event: &TypedEvent<Happened>) -> Result<(), HandlerError> {
        if let Happened::Refused = event.data {
            return Err("it cannot be counted".into());
        }
        tx.query("INSERT INTO {counts} VALUES (?, 1) ON CONFLICT DO UPDATE SET count = count + 1")
            .bind(event.stream.to_string())
            .execute(tx.connection())
            .await?;
        Ok(())
    }

    async fn clear_stream(&self, tx: &mut SqliteTx, stream: &factum::StreamName) -> Result<(), HandlerError> {
        tx.query("DELETE FROM {counts} WHERE stream = ?").bind(stream.to_string()).execute(tx.connection()).await?;
        Ok(())
    }
}

/// A program that keeps the counts, beside the commands.
struct Program {
    runtime: tokio::runtime::Runtime,
    shutdown: CancellationToken,
    db: SqliteDb,
}

impl Program {
    fn start(folder: &Folder, head: u64) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let shutdown = CancellationToken::new();
        let db = runtime.block_on(async {
            let db = SqliteDb::open(folder.path("read.sqlite")).await.unwrap();
            let log = Log::new(factum_embedded::open_read_only(folder.path("store")).unwrap());
            let runner = log.project(Counts, db.clone()).on_failure(OnFailure::Park(Backoff::NEVER));
            let running = runner.start(&shutdown).await.unwrap();
            running.wait_for(Position::new(head), std::time::Duration::from_secs(20)).await.unwrap();
            db
        });
        Self { runtime, shutdown, db }
    }

    fn counts(&self) -> Vec<(String, i64)> {
        let counts = sqlx::query_as("SELECT stream, count FROM counts ORDER BY stream").fetch_all(self.db.pool());
        self.runtime.block_on(counts).unwrap()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

/// Two streams, one of which has an event that is refused.
fn folder() -> Folder {
    let folder = Folder::new();
    for (stream, event_type) in [("a-1", "Counted"), ("b-1", "Counted"), ("b-1", "Refused"), ("b-1", "Counted")] {
        folder.append(stream, event_type, &[]);
    }
    folder
}

#[track_caller]
fn rows(folder: &Folder, arguments: &[&str]) -> Vec<Value> {
    folder.run(arguments).values()
}

#[test]
fn read_models_are_listed_with_their_lag_and_shown_with_their_partitions() {
    let folder = folder();
    let _program = Program::start(&folder, 4);
    folder.append("c-1", "Other", &[]);
    let listed = &rows(&folder, &["projection", "ls"])[0];
    assert_eq!((&listed["read_model"], &listed["phase"], &listed["parked"]), (&"counts@1".into(), &"live".into(), &2.into()));
    assert_eq!(listed["state"], "running");
    let shown = &rows(&folder, &["projection", "show", "counts"])[0];
    assert_eq!((&shown["events"], shown["partitions"].as_array().unwrap().len()), (&4.into(), 1));
}

#[test]
fn parked_events_are_listed_tried_again_and_forgotten() {
    let folder = folder();
    let program = Program::start(&folder, 4);
    let parked = rows(&folder, &["projection", "parked", "counts"]);
    assert_eq!(parked.iter().map(|parked| parked["position"].as_u64().unwrap()).collect::<Vec<_>>(), [3, 4]);
    folder.ok(&["projection", "retry", "counts", "3"]);
    assert_eq!(rows(&folder, &["projection", "parked", "counts"])[0]["tries"], 2);
    folder.ok(&["projection", "discard", "counts", "3"]);
    assert_eq!(rows(&folder, &["projection", "parked", "counts"]), [] as [Value; 0]);
    assert_eq!(program.counts(), [("a-1".to_owned(), 1), ("b-1".to_owned(), 2)]);
    let again = folder.run(&["projection", "retry", "counts", "3"]);
    assert_eq!(again.code, 4, "{again:?}");
}

#[test]
fn a_read_model_is_paused_resumed_and_made_again() {
    let folder = folder();
    let program = Program::start(&folder, 4);
    folder.ok(&["projection", "pause", "counts"]);
    assert_eq!(rows(&folder, &["projection", "ls"])[0]["state"], "paused");
    folder.ok(&["projection", "resume", "counts@1"]);
    folder.ok(&["projection", "rebuild", "counts", "--stream", "a-1"]);
    folder.ok(&["projection", "rebuild", "counts", "--rate", "1000"]);
    let refused = folder.run(&["projection", "rebuild", "counts", "--cancel"]);
    assert_eq!(refused.code, 4, "{refused:?}");
    assert_eq!(program.counts(), [("a-1".to_owned(), 1), ("b-1".to_owned(), 1)]);
}

#[test]
fn what_is_not_there_is_told() {
    let folder = folder();
    let missing = folder.run(&["projection", "ls"]);
    assert_eq!(missing.code, 4);
    assert!(missing.stderr.contains("there is no file read.sqlite"), "{missing:?}");
    let _program = Program::start(&folder, 4);
    let unknown = folder.run(&["projection", "pause", "sums"]);
    assert_eq!(unknown.code, 4);
    assert!(unknown.stderr.contains("there is no projection sums"), "{unknown:?}");
    let live = folder.run(&["projection", "drop", "counts@1"]);
    assert_eq!(live.code, 1);
    assert!(live.stderr.contains("counts@1 is live"), "{live:?}");
}
