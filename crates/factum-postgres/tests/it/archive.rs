//! Partitions are detached, dumped, dropped, restored and attached: what is not there is never taken for what never was.

use std::process::Command;
use std::time::{Duration, Instant};

use factum::{
    Append, AppendError, Conflict, EventId, Log, NewEvent, Payload, Position, Query, Range, Read, Scope, Selector, StartError,
    Store, StoreError, StoreErrorKind, StreamName, Version, Versions,
};
use factum_postgres::testing::Server;
use factum_postgres::{Logs, Options, PgDb, PostgresStore};
use sqlx::{Connection, Executor, PgConnection};
use tokio_util::sync::CancellationToken;

use crate::balances::Looks;
use crate::support::database;
use crate::writers::Writers;

/// How many positions a partition has in these tests.
const SPAN: u64 = 100;

/// How long the other log may take to fill one of them.
const PATIENCE: Duration = Duration::from_secs(60);

/// A database with small partitions, and a log with three of them and a half.
async fn filled() -> (String, PostgresStore) {
    let url = database().await;
    let name = url.rsplit('/').next().unwrap().split('?').next().unwrap();
    let mut connection = PgConnection::connect(&url).await.unwrap();
    let span = sqlx::AssertSqlSafe(format!("ALTER DATABASE \"{name}\" SET factum.partition_span = '{SPAN}'"));
    connection.execute(span).await.unwrap();
    let store = factum_postgres::open(&url).await.unwrap();
    for number in 1..=350 {
        // A stream that was written long ago alone, one that is written always, and new ones.
        let stream = match number {
            1..=10 => "old-1".to_owned(),
            _ if number % 2 == 0 => "steady-1".to_owned(),
            _ => format!("s{}-{number}", number / 100),
        };
        store.append(Append::new(vec![event(&stream)])).await.unwrap();
    }
    (url, store)
}

fn event(stream: &str) -> NewEvent {
    let stream: StreamName = stream.parse().unwrap();
    let tag = format!("of:{stream}").parse().unwrap();
    NewEvent { tags: vec![tag], ..NewEvent::new(stream, "Happened", Payload::json("{}")).unwrap() }
}

async fn read(store: &PostgresStore, query: Query) -> Result<Vec<Position>, StoreError> {
    Ok(store.read(Read::new(query)).await?.events.iter().map(|event| event.position).collect())
}

fn of_stream(stream: &str, after: u64) -> Query {
    let versions = Versions { after: Version::new(after), ..Versions::ALL };
    Selector { scope: Scope::Stream(stream.parse().unwrap(), versions), ..Selector::default() }.into()
}

fn tagged(stream: &str) -> Query {
    Selector::tagged("of", stream).unwrap().into()
}

fn is_archived<T: std::fmt::Debug>(outcome: Result<T, StoreError>) -> bool {
    outcome.is_err_and(|error| error.kind() == StoreErrorKind::NotFound && error.to_string().contains("archive"))
}

#[tokio::test]
async fn what_is_archived_is_said_to_be_and_all_else_is_read() {
    let (url, store) = filled().await;
    let logs = Logs::at(&url).unwrap();
    assert_eq!(logs.detach_oldest().await.unwrap(), "archived_through_100");
    assert_eq!(logs.detach_oldest().await.unwrap(), "archived_through_200");
    let hot = Position::new(2 * SPAN);

    for query in [Query::all(), of_stream("old-1", 0), of_stream("steady-1", 0), tagged("old-1"), tagged("steady-1")] {
        assert!(is_archived(read(&store, query.clone()).await), "{query:?}");
    }
    let after = store.read(Read::new(Query::all()).range(Range::after(hot))).await.unwrap();
    assert_eq!(after.events.len(), 150);
    let last = store.read(Read::new(Query::all()).backward().limit(10)).await.unwrap();
    assert_eq!(last.events.len(), 10);
    assert_eq!(read(&store, of_stream("s3-301", 0)).await.unwrap(), [Position::new(301)]);
    assert_eq!(read(&store, tagged("s3-301")).await.unwrap(), [Position::new(301)]);
    // The versions of it that are there, as an aggregate reads them after a snapshot.
    assert_eq!(read(&store, of_stream("steady-1", 96)).await.unwrap().len(), 74);
    assert!(is_archived(read(&store, of_stream("steady-1", 94)).await));
}

#[tokio::test]
async fn an_append_is_refused_where_it_would_have_to_know_what_is_archived() {
    let (url, store) = filled().await;
    let first = store.read(Read::new(Query::all()).limit(1)).await.unwrap().events.remove(0);
    Logs::at(&url).unwrap().detach_oldest().await.unwrap();

    let append = |query: Query, after: u64| {
        let append = Append::new(vec![event("new-1")]).condition(query, Position::new(after));
        let store = store.clone();
        async move { store.append(append).await }
    };
    // Tags are known for good, and so is where a stream begins.
    assert!(matches!(append(tagged("old-1"), 0).await, Err(AppendError::Conflict(Conflict::Condition { .. }))));
    append(tagged("nobody"), 0).await.unwrap();
    append(of_stream("s3-none", 0), 0).await.unwrap();
    append(Selector::default().event_type("Other".parse().unwrap()).into(), SPAN).await.unwrap();
    let refused = append(Selector::default().event_type("Other".parse().unwrap()).into(), 0).await.unwrap_err();
    assert!(matches!(refused, AppendError::Store(error) if is_archived::<()>(Err(error.clone()))));

    let id: EventId = first.id;
    let repeated = store.append(Append::new(vec![NewEvent { id, ..event("old-1") }])).await.unwrap_err();
    assert!(matches!(repeated, AppendError::Store(error) if is_archived::<()>(Err(error.clone()))));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_log_that_is_created_while_a_partition_is_detached_keeps_its_events() {
    let (url, _store) = filled().await;
    // As if the other log came just after the logs were looked at.
    let mut connection = PgConnection::connect(&url).await.unwrap();
    let definition = "SELECT pg_get_functiondef('factum.detach_oldest'::regproc)";
    let function: String = sqlx::query_scalar(definition).fetch_one(&mut connection).await.unwrap();
    let after = "PERFORM factum.take_all_turns();";
    assert!(function.contains(after), "the function begins otherwise now: change this test with it");
    let sleepy = function.replace("ALTER TABLE factum.events DETACH", "SELECT pg_sleep(1); ALTER TABLE factum.events DETACH");
    connection.execute(sqlx::AssertSqlSafe(sleepy)).await.unwrap();

    let logs = Logs::at(&url).unwrap();
    let detached = tokio::spawn(async move { logs.detach_oldest().await });
    tokio::time::sleep(Duration::from_millis(300)).await;
    let late = Options::default().log("late").open(&url).await.unwrap();
    late.append(Append::new(vec![event("late-1")])).await.unwrap();
    detached.await.unwrap().unwrap();
    assert_eq!(read(&late, Query::all()).await.unwrap(), [Position::new(1)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_partition_that_was_dumped_dropped_and_restored_is_as_it_was() {
    let (url, store) = filled().await;
    let before = store.read(Read::new(Query::all())).await.unwrap().events;
    let writers = Writers::start(&url, "busy", Duration::from_millis(20));
    let logs = Logs::at(&url).unwrap();
    // The other log is in it until it is past it.
    let started = Instant::now();
    let table = loop {
        assert!(started.elapsed() < PATIENCE, "the other log does not come on");
        match logs.detach_oldest().await {
            Ok(table) => break table,
            Err(error) => assert!(error.to_string().contains("not sealed"), "{error}"),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    // Who comes later begins there.
    let late = Options::default().log("late").open(&url).await.unwrap();
    late.append(Append::new(vec![event("late-1")])).await.unwrap();

    let mut connection = PgConnection::connect(&url).await.unwrap();
    let dump = tempfile::NamedTempFile::new().unwrap();
    let run = |program: &str, arguments: &[&str]| {
        let status = Command::new(Server::shared().program(program)).args(arguments).arg(dump.path()).status().unwrap();
        assert!(status.success(), "{program}");
    };
    run("pg_dump", &[&url, "--format=custom", &format!("--table=factum.{table}"), "--file"]);
    connection.execute(sqlx::AssertSqlSafe(format!("DROP TABLE factum.{table}"))).await.unwrap();
    let refused = logs.attach_newest().await.unwrap_err().to_string();
    assert!(refused.contains("restore it"), "{refused}");

    run("pg_restore", &["--dbname", &url]);
    connection.execute("SET factum.drops_log = 'yes'").await.unwrap();
    connection.execute(sqlx::AssertSqlSafe(format!("CREATE TABLE kept AS TABLE factum.{table}"))).await.unwrap();
    connection.execute(sqlx::AssertSqlSafe(format!("DELETE FROM factum.{table} WHERE position = 7"))).await.unwrap();
    let refused = logs.attach_newest().await.unwrap_err().to_string();
    assert!(refused.contains("restore it whole"), "{refused}");
    let back = format!("INSERT INTO factum.{table} SELECT * FROM kept WHERE position = 7");
    connection.execute(sqlx::AssertSqlSafe(back)).await.unwrap();

    assert_eq!(logs.attach_newest().await.unwrap(), "events_through_100");
    let acknowledged = tokio::task::block_in_place(|| writers.stop());
    assert_eq!(store.read(Read::new(Query::all())).await.unwrap().events, before);
    assert_eq!(late.read(Read::new(Query::all())).await.unwrap().events.len(), 1);
    let busy = Options::default().log("busy").open(&url).await.unwrap();
    assert_eq!(crate::writers::stored(&busy).await, acknowledged);
    for change in ["UPDATE factum.events_through_100 SET type = 'Other'", "DELETE FROM factum.events_through_100"] {
        connection.execute("SET factum.drops_log = ''").await.unwrap();
        let refused = connection.execute(change).await.unwrap_err().to_string();
        assert!(refused.contains("events never change"), "{refused}");
    }
}

#[tokio::test]
async fn a_log_that_has_events_in_a_replaced_partition_has_none_archived_behind_them() {
    let (url, store) = filled().await;
    let logs = Logs::at(&url).unwrap();
    logs.detach_oldest().await.unwrap();
    // Its first events are where the others' are archived.
    let late = Options::default().log("late").open(&url).await.unwrap();
    for _ in 0..250 {
        late.append(Append::new(vec![event("late-1")])).await.unwrap();
    }
    let refused = logs.detach_oldest().await.unwrap_err();
    assert!(refused.to_string().contains("the log late has events before the partition through position 200"), "{refused}");
    assert_eq!(read(&late, Query::all()).await.unwrap().len(), 250);

    logs.attach_newest().await.unwrap();
    for through in [100, 200] {
        assert_eq!(logs.detach_oldest().await.unwrap(), format!("archived_through_{through}"));
    }
    assert!(is_archived(read(&late, of_stream("late-1", 0)).await));
    for _ in 0..2 {
        logs.attach_newest().await.unwrap();
    }
    for log in [&store, &late] {
        log.verify(&mut |_, _| {}).await.unwrap();
    }
    assert_eq!(read(&late, Query::all()).await.unwrap().len(), 250);
}

#[tokio::test]
async fn a_projection_knows_its_log_by_an_event_that_is_archived() {
    let (url, store) = filled().await;
    let (db, shutdown) = (PgDb::open(&url).await.unwrap(), CancellationToken::new());
    let late = Options::default().log("late").open(&url).await.unwrap();
    late.append(Append::new((0..SPAN).map(|_| event("late-1")).collect())).await.unwrap();
    let running = Log::new(store.clone()).project(Looks, db.clone()).start(&shutdown).await.unwrap();
    running.wait_for(Position::new(350), PATIENCE).await.unwrap();
    Logs::at(&url).unwrap().detach_oldest().await.unwrap();

    let other = Log::new(late).project(Looks, db.clone()).start(&shutdown).await.err();
    assert!(matches!(other, Some(StartError::AnotherLog { .. })), "{other:?}");
    let again = Log::new(store.clone()).project(Looks, db).start(&shutdown).await.unwrap();
    let head = store.append(Append::new(vec![event("steady-1")])).await.unwrap().positions.through;
    again.wait_for(head, PATIENCE).await.unwrap();
    shutdown.cancel();
}

// On one thread: what is spawned first asks for the connection first.
#[tokio::test]
async fn a_read_beside_which_a_partition_is_attached_has_its_events() {
    let (url, store) = filled().await;
    let logs = Logs::at(&url).unwrap();
    logs.detach_oldest().await.unwrap();
    // With one connection the look into the archive comes after the other read, which waits until the partition is attached.
    let reader = Options::default().connections(1).open(&url).await.unwrap();
    reader.head().await.unwrap();
    let mut connection = PgConnection::connect(&url).await.unwrap();
    connection.execute("BEGIN; LOCK TABLE factum.tags IN ACCESS EXCLUSIVE MODE").await.unwrap();
    let whole = tokio::spawn({
        let reader = reader.clone();
        async move { read(&reader, Query::all()).await }
    });
    tokio::task::yield_now().await;
    let other = tokio::spawn(async move { read(&reader, tagged("steady-1")).await });
    wait_for_the_tags(&url).await;
    logs.attach_newest().await.unwrap();
    connection.execute("COMMIT").await.unwrap();
    other.await.unwrap().unwrap();
    let positions = whole.await.unwrap().unwrap();
    assert_eq!(positions.len(), 350, "from {:?} on", positions.first());
    assert_eq!(read(&store, Query::all()).await.unwrap().len(), 350);
}

/// Waits until somebody waits for the lock of the tags.
async fn wait_for_the_tags(url: &str) {
    let mut connection = PgConnection::connect(url).await.unwrap();
    let waits = "SELECT EXISTS (SELECT FROM pg_locks WHERE relation = 'factum.tags'::regclass AND NOT granted)";
    let begun = Instant::now();
    while !sqlx::query_scalar::<_, bool>(waits).fetch_one(&mut connection).await.unwrap() {
        assert!(begun.elapsed() < PATIENCE, "nobody reads the tags");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
