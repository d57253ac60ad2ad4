//! Writers race, in several processes as it were, and connections and servers are lost: nothing is missed, doubled or reordered.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use factum::{
    Append, AppendError, Conflict, Draft, Event, EventId, Expected, Log, Model, NameError, NewEvent, Payload, Position, Query,
    Range, Read, ReadStreams, RecordedEvent, Scope, Selector, Store, StoreErrorKind, StreamName, Version,
};
use factum_postgres::testing::Server;
use factum_postgres::{Logs, Options, PostgresStore};
use sqlx::{Connection, Executor, PgConnection};
use tokio::sync::Barrier;
use tokio::task::JoinSet;

use crate::support::database;

const PATIENCE: Duration = Duration::from_secs(120);

fn event(stream: &str) -> NewEvent {
    NewEvent::new(stream.parse().unwrap(), "Happened", Payload::json("{}")).unwrap()
}

/// Stores that share nothing but the database, as those of several processes do.
async fn stores(url: &str, count: usize) -> Vec<PostgresStore> {
    let mut stores = Vec::new();
    for _ in 0..count {
        stores.push(factum_postgres::open(url).await.unwrap());
    }
    stores
}

/// Appends so many events, each on the version that the one before it left; their ids.
async fn write(store: PostgresStore, stream: String, count: u64) -> Vec<EventId> {
    write_while(store, stream, |version| version < count).await
}

/// Appends events while it is to, each on the version that the one before it left; their ids.
async fn write_while(store: PostgresStore, stream: String, goes_on: impl Fn(u64) -> bool) -> Vec<EventId> {
    let name: StreamName = stream.parse().unwrap();
    let mut ids = Vec::new();
    for version in (0..).take_while(|version| goes_on(*version)) {
        let event = event(&stream);
        ids.push(event.id);
        let append = Append::new(vec![event]).expect(name.clone(), Expected::Exact(Version::new(version)));
        let appended = store.append(append).await.unwrap();
        assert_eq!(appended.versions, [(name.clone(), Version::new(version + 1))]);
    }
    ids
}

/// Follows the log from its start; the ids of its events, each of which must be at the next position.
async fn follow(store: PostgresStore, count: usize) -> Vec<EventId> {
    follow_to(store, |event| event.position.get() == count as u64).await
}

/// Follows the log from its start to the last event.
async fn follow_to(store: PostgresStore, is_last: impl Fn(&RecordedEvent) -> bool) -> Vec<EventId> {
    let (mut ids, mut after, mut ended) = (Vec::new(), Position::START, false);
    while !ended {
        let page = store.read(Read::new(Query::all()).range(Range::after(after)).limit(50)).await.unwrap();
        for event in &page.events {
            assert_eq!(event.position, after.next(), "a position was missed, or came twice");
            after = event.position;
            ids.push(event.id);
            ended |= is_last(event);
        }
        if page.events.is_empty() {
            store.changed(after).await;
        }
    }
    ids
}

/// Holds a writing transaction open, in this database and in another one of the server, as backups and forgotten sessions do.
async fn forgotten_transactions(server: &Server, url: &str) -> [PgConnection; 2] {
    let mut transactions = [PgConnection::connect(url).await.unwrap(), PgConnection::connect(&server.url()).await.unwrap()];
    for connection in &mut transactions {
        connection
            .execute("BEGIN; CREATE TABLE IF NOT EXISTS forgotten (n int); INSERT INTO forgotten VALUES (1)")
            .await
            .unwrap();
    }
    transactions
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_reader_sees_each_event_of_fourteen_writers_once_and_in_order_beside_forgotten_transactions() {
    const WRITERS: usize = 14;
    let url = database().await;
    let stores = stores(&url, 2).await;
    let _forgotten = forgotten_transactions(Server::shared(), &url).await;
    let reader = factum_postgres::open(&url).await.unwrap();
    let reader = tokio::spawn(follow_to(reader, |event| event.stream.as_str() == "last-1"));
    let until = Instant::now() + race_time();
    let mut writers = JoinSet::new();
    for number in 0..WRITERS {
        writers.spawn(write_while(stores[number % 2].clone(), format!("writer-{number}"), move |_| Instant::now() < until));
    }
    let mut written: Vec<EventId> = writers.join_all().await.into_iter().flatten().collect();
    written.extend(write(stores[0].clone(), "last-1".to_owned(), 1).await);
    let read = tokio::time::timeout(PATIENCE, reader).await.unwrap().unwrap();
    assert_eq!(read.len(), written.len());
    assert_eq!(BTreeSet::from_iter(read), BTreeSet::from_iter(written));
}

/// How long they race: a minute, or as many seconds as `FACTUM_RACE_SECONDS` says.
fn race_time() -> Duration {
    let seconds = std::env::var("FACTUM_RACE_SECONDS").map_or(60, |seconds| seconds.parse().expect("a number of seconds"));
    Duration::from_secs(seconds)
}

#[tokio::test]
async fn appends_and_reads_come_by_no_more_rows_the_longer_a_transaction_is_forgotten() {
    const APPENDS: u64 = 200;
    let url = database().await;
    factum_postgres::open(&url).await.unwrap().close().await;
    let _forgotten = forgotten_transactions(Server::shared(), &url).await;
    let mut read = [0, 0];
    for (part, read) in read.iter_mut().enumerate() {
        let before = entries_read(&url).await;
        let store = factum_postgres::open(&url).await.unwrap();
        for number in (part as u64 * APPENDS..).take(APPENDS as usize) {
            let (stream, version) = ("a-1".parse().unwrap(), Version::new(number));
            let append = Append::new(vec![event("a-1")]).expect(stream, Expected::Exact(version));
            store.append(append.consumed("reader".parse().unwrap(), Position::new(number + 1))).await.unwrap();
            assert_eq!(store.head().await.unwrap(), Position::new(number + 1));
            store.read(Read::new(Query::all()).range(Range::after(Position::new(number)))).await.unwrap();
            store.streams(ReadStreams::default()).await.unwrap();
            store.consumed("reader".parse().unwrap()).await.unwrap();
        }
        store.close().await;
        drop(store);
        *read = entries_read(&url).await - before;
    }
    assert!(read[1] < read[0] * 3 / 2, "{APPENDS} appends and reads came by {} rows, the next by {}", read[0], read[1]);
}

#[tokio::test]
async fn what_a_query_selects_is_looked_for_by_its_index_whatever_the_statistics_say() {
    const EVENTS: usize = 3_000;
    let url = database().await;
    let store = factum_postgres::open(&url).await.unwrap();
    let analyze = async || PgConnection::connect(&url).await.unwrap().execute("ANALYZE").await.unwrap();
    // They are those of a nearly empty table, and then of one whose events are all alike.
    store.append(Append::new(vec![tagged(0)])).await.unwrap();
    analyze().await;
    store.append(Append::new((1..EVENTS).map(tagged).collect())).await.unwrap();
    store.close().await;
    drop(store);
    let of_type = |name: &str| Selector::default().event_type(name.parse().unwrap());
    let there = [of_type("Happened"), Selector::tagged("course", "c1").unwrap().tag("half:0".parse().unwrap())];
    let not_there = [
        of_type("Never"),
        Selector::tagged("course", "c2").unwrap(),
        Selector::category("none".parse().unwrap()),
        Selector { scope: Scope::Correlation("none".into()), ..Selector::default() },
        Selector { scope: Scope::CausedBy(EventId::new()), ..Selector::default() },
        Selector::stream("none-1".parse().unwrap()),
    ];
    for _ in 0..2 {
        for selectors in [&there[..], &not_there] {
            let before = entries_read(&url).await;
            let (store, mut found) = (factum_postgres::open(&url).await.unwrap(), 0);
            for selector in selectors {
                let read = Read::new(selector.clone().into()).limit(EVENTS);
                for read in [read.clone(), read.backward()] {
                    found += store.read(read).await.unwrap().events.len();
                }
            }
            drop(store);
            let read = entries_read(&url).await - before;
            assert!(read < 100 + 5 * found as i64, "{found} events were found by way of {read}");
        }
        analyze().await;
    }
}

/// An event with a tag that all have, and one that every other has.
fn tagged(number: usize) -> NewEvent {
    let tags = vec!["course:c1".parse().unwrap(), format!("half:{}", number % 2).parse().unwrap()];
    NewEvent { tags, ..event("a-1") }
}

/// How many entries of indexes and rows of tables were read so far, dead ones included.
async fn entries_read(url: &str) -> i64 {
    // Sessions report what they did at their end at the latest.
    let mut connection = PgConnection::connect(url).await.unwrap();
    let others = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND backend_type = 'client backend'
                      AND pid <> pg_backend_pid() AND state <> 'idle in transaction'";
    let begun = Instant::now();
    while sqlx::query_scalar::<_, i64>(others).fetch_one(&mut connection).await.unwrap() != 0 {
        assert!(begun.elapsed() < PATIENCE, "a session goes on");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let read = "SELECT (SELECT sum(idx_tup_read) FROM pg_stat_user_indexes WHERE schemaname = 'factum')::bigint
                    + (SELECT sum(seq_tup_read) FROM pg_stat_user_tables WHERE schemaname = 'factum')::bigint";
    sqlx::query_scalar(read).fetch_one(&mut connection).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_append_whose_connection_is_cut_is_recorded_once() {
    const WRITERS: usize = 8;
    const EVENTS: u64 = 100;
    let url = database().await;
    let stores = stores(&url, 2).await;
    let over = Arc::new(AtomicBool::new(false));
    let cutter = tokio::spawn(cut_now_and_then(url.clone(), over.clone()));
    let mut writers = JoinSet::new();
    for number in 0..WRITERS {
        writers.spawn(write(stores[number % 2].clone(), format!("writer-{number}"), EVENTS));
    }
    let written: BTreeSet<EventId> = writers.join_all().await.into_iter().flatten().collect();
    over.store(true, Ordering::SeqCst);
    assert!(0 < cutter.await.unwrap(), "no connection was cut, so nothing was tested");
    let read = follow(stores[0].clone(), WRITERS * EVENTS as usize).await;
    assert_eq!(stores[0].head().await.unwrap(), Position::new(read.len() as u64));
    assert_eq!(read.into_iter().collect::<BTreeSet<_>>(), written);
}

/// Ends those connections that are at an append, in whatever they do; how many.
async fn cut_now_and_then(url: String, over: Arc<AtomicBool>) -> i64 {
    let (mut cut, mut connection) = (0, PgConnection::connect(&url).await.unwrap());
    while cut < 20 && !over.load(Ordering::SeqCst) {
        let ended: i64 = sqlx::query_scalar(
            "SELECT count(*) FILTER (WHERE pg_terminate_backend(pid)) FROM pg_stat_activity
             WHERE datname = current_database() AND pid <> pg_backend_pid()
                 AND query LIKE '%factum.append(%' AND state = 'active'",
        )
        .fetch_one(&mut connection)
        .await
        .unwrap();
        cut += ended;
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    cut
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_was_acknowledged_is_there_after_the_server_was_killed_again_and_again() {
    const WRITERS: usize = 8;
    const EVENTS: u64 = 60;
    let server = Server::start(&[]);
    let stores = stores(&server.url(), 2).await;
    let mut writers = JoinSet::new();
    for number in 0..WRITERS {
        writers.spawn(write(stores[number % 2].clone(), format!("writer-{number}"), EVENTS));
    }
    for _ in 0..4 {
        tokio::time::sleep(Duration::from_millis(60)).await;
        tokio::task::block_in_place(|| {
            server.kill();
            server.restart();
        });
    }
    let written: BTreeSet<EventId> = writers.join_all().await.into_iter().flatten().collect();
    let read = follow(stores[0].clone(), WRITERS * EVENTS as usize).await;
    assert_eq!(stores[0].head().await.unwrap(), Position::new(read.len() as u64));
    assert_eq!(read.into_iter().collect::<BTreeSet<_>>(), written);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_who_create_a_stream_in_several_processes_one_does() {
    const RACERS: usize = 16;
    let url = database().await;
    let (stores, barrier) = (stores(&url, 4).await, Arc::new(Barrier::new(RACERS)));
    for round in 0..10 {
        let mut racers = JoinSet::new();
        for number in 0..RACERS {
            let (store, barrier) = (stores[number % 4].clone(), barrier.clone());
            racers.spawn(async move {
                let stream: StreamName = format!("race-{round}").parse().unwrap();
                let append = Append::new(vec![event(stream.as_str())]).expect(stream, Expected::NO_STREAM);
                barrier.wait().await;
                store.append(append).await
            });
        }
        let outcomes = racers.join_all().await;
        assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1);
        for refused in outcomes.into_iter().filter_map(Result::err) {
            assert!(matches!(refused, AppendError::Conflict(Conflict::Stream { actual, .. }) if actual == Version::new(1)));
        }
    }
}

#[derive(Debug, Clone, PartialEq, Event)]
#[event(prefix = "Account")]
enum AccountEvent {
    Deposited {
        #[event(tag)]
        account: String,
        cents: i64,
    },
    Withdrawn {
        #[event(tag)]
        account: String,
        cents: i64,
    },
}

/// What is in an account, by its tag: over all streams.
#[derive(Debug, Default)]
struct Balance(i64);

impl Model for Balance {
    type Event = AccountEvent;

    fn scope(&self) -> Result<Selector, NameError> {
        Selector::tagged("account", "joint")
    }

    fn apply(&mut self, event: &AccountEvent) {
        match event {
            AccountEvent::Deposited { cents, .. } => self.0 += cents,
            AccountEvent::Withdrawn { cents, .. } => self.0 -= cents,
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_balance_that_a_decision_guards_never_goes_negative_under_fourteen_writers() {
    const WRITERS: usize = 14;
    const CENTS: i64 = 60;
    let url = database().await;
    let stores = stores(&url, 2).await;
    let _forgotten = forgotten_transactions(Server::shared(), &url).await;
    let deposited = AccountEvent::Deposited { account: "joint".to_owned(), cents: CENTS };
    let log = Log::new(stores[0].clone());
    log.decide((), |()| Ok::<_, ()>([Draft::from(deposited.clone()).to("a-0".parse().unwrap())])).await.unwrap();
    let barrier = Arc::new(Barrier::new(WRITERS));
    let mut writers = JoinSet::new();
    for number in 0..WRITERS {
        let (log, barrier) = (Log::new(stores[number % 2].clone()), barrier.clone());
        writers.spawn(async move {
            barrier.wait().await;
            let mut withdrawn = 0;
            for _ in 0..10 {
                let stream: StreamName = format!("a-{number}").parse().unwrap();
                let withdraw = |balance: &Balance| match balance.0 {
                    0 => Err("it is empty"),
                    _ => Ok([Draft::from(AccountEvent::Withdrawn { account: "joint".to_owned(), cents: 1 }).to(stream.clone())]),
                };
                withdrawn += u32::from(log.decide(Balance::default(), withdraw).await.is_ok());
            }
            withdrawn
        });
    }
    let withdrawn: u32 = writers.join_all().await.into_iter().sum();
    let query = Selector::tagged("account", "joint").unwrap().into();
    let mut balance = Balance::default();
    for event in stores[0].read(Read::new(query)).await.unwrap().events {
        balance.apply(&event.decode().unwrap().unwrap());
        assert!(0 <= balance.0, "at {}", event.position);
    }
    assert_eq!(balance.0, CENTS - i64::from(withdrawn));
}

/// A database with a table of the user's own, and a log.
async fn shop() -> (PostgresStore, PgConnection) {
    let url = database().await;
    let mut connection = PgConnection::connect(&url).await.unwrap();
    connection.execute("CREATE TABLE orders (id int)").await.unwrap();
    (factum_postgres::open(&url).await.unwrap(), connection)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_append_inside_a_transaction_is_recorded_when_that_commits_and_others_wait_for_it() {
    let (store, mut connection) = shop().await;
    let mut transaction = connection.begin().await.unwrap();
    transaction.execute("INSERT INTO orders VALUES (1)").await.unwrap();
    let stream: StreamName = "order-1".parse().unwrap();
    let append = || Append::new(vec![event("order-1")]).expect(stream.clone(), Expected::NO_STREAM);
    store.append_in(&mut transaction, append()).await.unwrap();
    // What is refused leaves the transaction as it is.
    let refused = store.append_in(&mut transaction, append()).await.unwrap_err();
    assert!(matches!(refused, AppendError::Conflict(_)), "{refused}");
    let waiting = store.clone();
    let other = tokio::spawn(async move { waiting.append(Append::new(vec![event("order-2")])).await.unwrap() });
    assert_eq!(store.head().await.unwrap(), Position::START);
    transaction.commit().await.unwrap();
    assert_eq!(other.await.unwrap().positions.through, Position::new(2));
    let rows: i64 = sqlx::query_scalar("SELECT count(*) FROM orders").fetch_one(&mut connection).await.unwrap();
    assert_eq!(rows, 1);
}

#[tokio::test]
async fn an_append_inside_a_transaction_that_is_rolled_back_never_was() {
    let (store, mut connection) = shop().await;
    let mut transaction = connection.begin().await.unwrap();
    let appended = store.append_in(&mut transaction, Append::new(vec![event("order-1")])).await.unwrap();
    assert_eq!(appended.positions.through, Position::new(1));
    transaction.rollback().await.unwrap();
    let next = store.append(Append::new(vec![event("order-2")])).await.unwrap();
    assert_eq!(next.positions.through, Position::new(1), "no position is lost");
    connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ").await.unwrap();
    let refused = store.append_in(&mut connection, Append::new(vec![event("order-3")])).await.unwrap_err();
    assert!(matches!(&refused, AppendError::Store(error) if error.kind() == StoreErrorKind::Invalid), "{refused}");
}

#[tokio::test]
async fn a_schema_of_a_newer_program_is_refused_and_events_cannot_be_changed() {
    let url = database().await;
    let store = factum_postgres::open(&url).await.unwrap();
    store.append(Append::new(vec![event("a-1")])).await.unwrap();
    let mut connection = PgConnection::connect(&url).await.unwrap();
    for change in ["UPDATE factum.events SET type = 'Other'", "DELETE FROM factum.events", "TRUNCATE factum.events"] {
        let refused = connection.execute(change).await.unwrap_err().to_string();
        assert!(refused.contains("events never change"), "{refused}");
    }
    connection.execute("INSERT INTO factum.migrations VALUES (99)").await.unwrap();
    let refused = factum_postgres::open(&url).await.unwrap_err();
    assert_eq!(refused.kind(), StoreErrorKind::Unsupported);
    assert!(refused.to_string().contains("run the newer program"), "{refused}");
}

#[tokio::test]
async fn a_log_that_is_dropped_while_it_is_open_is_told_to_those_who_have_it_open() {
    let url = database().await;
    let store = Options::default().log("short").open(&url).await.unwrap();
    store.append(Append::new(vec![event("a-1")])).await.unwrap();
    assert!(Logs::at(&url).unwrap().drop("short").await.unwrap());
    assert_eq!(store.head().await.unwrap_err().kind(), StoreErrorKind::NotFound);
    let refused = store.append(Append::new(vec![event("a-1")])).await.unwrap_err();
    assert!(matches!(&refused, AppendError::Store(error) if error.kind() == StoreErrorKind::NotFound), "{refused}");
}

#[tokio::test]
async fn a_server_that_is_not_there_is_unavailable_within_the_stores_patience() {
    let server = Server::start(&[]);
    let store = Options::default().patience(Duration::from_millis(300)).open(&server.url()).await.unwrap();
    server.stop();
    assert_eq!(store.head().await.unwrap_err().kind(), StoreErrorKind::Unavailable);
    let refused = store.append(Append::new(vec![event("a-1")])).await.unwrap_err();
    assert!(matches!(&refused, AppendError::Store(error) if error.kind() != StoreErrorKind::Invalid), "{refused}");
}

#[tokio::test]
async fn an_append_that_a_timeout_of_the_database_ends_is_unavailable_and_recorded_when_it_is_repeated() {
    let url = database().await;
    let name = url.rsplit('/').next().unwrap().split('?').next().unwrap();
    factum_postgres::open(&url).await.unwrap().close().await;
    let mut other = PgConnection::connect(&url).await.unwrap();
    let bound = sqlx::AssertSqlSafe(format!("ALTER DATABASE \"{name}\" SET statement_timeout = '100ms'"));
    other.execute(bound).await.unwrap();
    let store = Options::default().patience(Duration::from_millis(500)).open(&url).await.unwrap();
    // Somebody else has the turn, and keeps it.
    other.execute("BEGIN; SELECT pg_advisory_xact_lock(1717658484, log) FROM factum.logs").await.unwrap();
    let append = Append::new(vec![event("a-1")]);
    let refused = store.append(append.clone()).await.unwrap_err();
    assert!(matches!(&refused, AppendError::Store(error) if error.kind() == StoreErrorKind::Unavailable), "{refused}");
    assert!(refused.to_string().contains("statement_timeout"), "{refused}");
    other.execute("ROLLBACK").await.unwrap();
    assert_eq!(store.append(append).await.unwrap().positions.through, Position::new(1));
}

#[tokio::test]
async fn a_log_goes_on_past_the_end_of_a_partition() {
    let url = database().await;
    let store = factum_postgres::open(&url).await.unwrap();
    let mut connection = PgConnection::connect(&url).await.unwrap();
    // As if so many events had been recorded before.
    for head in [4_999_998, 9_999_998] {
        sqlx::query("UPDATE factum.heads SET head = $1").bind(head as i64).execute(&mut connection).await.unwrap();
        let appended = store.append(Append::new(vec![event("a-1"), event("a-1"), event("a-1")])).await.unwrap();
        assert_eq!(appended.positions.through, Position::new(head + 3));
        let page = store.read(Read::new(Query::all()).range(Range::after(Position::new(head)))).await.unwrap();
        assert_eq!(page.events.len(), 3);
    }
    let partitions: i64 = sqlx::query_scalar("SELECT count(*) FROM pg_inherits WHERE inhparent = 'factum.events'::regclass")
        .fetch_one(&mut connection)
        .await
        .unwrap();
    assert_eq!(partitions, 2);
    assert_eq!(store.read(Read::new(Query::stream("a-1".parse().unwrap()))).await.unwrap().events.len(), 6);
}
