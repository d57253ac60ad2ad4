//! The contract of a read database, and what PostgreSQL alone has.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use factum::testing::read_db::{self, Backend};
use factum::testing::survives_kills;
use factum::{
    Backoff, Draft, HandlerError, Log, OnFailure, Phase, ReadDb, ReadModelName, ReadModels, StartError, Store, StoreErrorKind,
};
use factum_postgres::testing::Server;
use factum_postgres::{PgDb, PgTx};
use sqlx::{Connection, Executor, PgConnection};
use tokio_util::sync::CancellationToken;

use crate::balances::{AccountEvent, Balances, Looks, deposit, deposited, expected, rows};
use crate::support::database;

const PATIENCE: Duration = Duration::from_secs(240);

/// A table `numbers`, with an index and a view of its own.
struct Postgres;

/// A database of its own, which the server keeps as long as it lives.
async fn db() -> PgDb {
    PgDb::open(&database().await).await.unwrap()
}

impl Backend for Postgres {
    type Db = PgDb;

    async fn open(&self) -> PgDb {
        db().await
    }

    async fn create(&self, tx: &mut PgTx) -> Result<(), HandlerError> {
        tx.query("CREATE TABLE {numbers} (key text PRIMARY KEY, number bigint NOT NULL)").execute(tx.connection()).await?;
        tx.query("CREATE INDEX {by_number} ON {numbers} (number)").execute(tx.connection()).await?;
        tx.query("CREATE VIEW {large_numbers} AS SELECT * FROM {numbers} WHERE 100 < number").execute(tx.connection()).await?;
        Ok(())
    }

    async fn put(&self, tx: &mut PgTx, key: &str, number: i64) -> Result<(), HandlerError> {
        let put = tx.query("INSERT INTO {numbers} VALUES ($1, $2) ON CONFLICT (key) DO UPDATE SET number = $2");
        put.bind(key.to_owned()).bind(number).execute(tx.connection()).await?;
        Ok(())
    }

    async fn live(&self, db: &PgDb, _projection: &str) -> BTreeMap<String, i64> {
        match sqlx::query_as("SELECT key, number FROM numbers").fetch_all(db.pool()).await {
            Ok(rows) => rows.into_iter().collect(),
            Err(error) if error.to_string().contains("does not exist") => BTreeMap::new(),
            Err(error) => panic!("{error}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn postgresql_keeps_the_contract() {
    read_db::check(&Postgres).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_tables_are_the_same_wherever_the_database_is_never_heard_of_again() {
    let deposit = |n: u64| Draft::from(AccountEvent::Deposited { cents: n as i64 });
    let events = (1..=3).map(|n| deposit(n).to(format!("account-{}", n % 2).parse().unwrap()));
    survives_kills(|| Balances::<1, 2>, db, events, rows).await;
}

#[tokio::test]
async fn a_plain_name_that_is_something_elses_is_refused_and_nothing_changes() {
    let db = db().await;
    sqlx::query("CREATE TABLE numbers (of_what text)").execute(db.pool()).await.unwrap();
    let mut tx = db.begin(&"numbers@1".parse().unwrap()).await.unwrap();
    Postgres.create(&mut tx).await.unwrap();
    let refused = db.publish(&mut tx).await.unwrap_err();
    assert_eq!(refused.kind(), StoreErrorKind::Invalid);
    drop(tx);
    sqlx::query("SELECT of_what FROM numbers").fetch_all(db.pool()).await.unwrap();
}

#[tokio::test]
async fn a_swap_gives_way_to_a_long_query_and_is_tried_again() {
    let db = db().await;
    let fill = async |model: &str| {
        let mut tx = db.begin(&model.parse().unwrap()).await.unwrap();
        Postgres.create(&mut tx).await.unwrap();
        tx
    };
    let mut tx = fill("numbers@1").await;
    db.publish(&mut tx).await.unwrap();
    db.commit(tx).await.unwrap();
    let mut query = db.pool().begin().await.unwrap();
    sqlx::query("SELECT key FROM numbers").fetch_all(&mut *query).await.unwrap();
    let mut tx = fill("numbers@2").await;
    db.publish(&mut tx).await.unwrap();
    let held = db.commit(tx).await.unwrap_err();
    assert_eq!(held.kind(), StoreErrorKind::Unavailable, "{held}");
    query.commit().await.unwrap();
    let mut tx = fill("numbers@2").await;
    db.publish(&mut tx).await.unwrap();
    db.commit(tx).await.unwrap();
}

#[tokio::test]
async fn a_statement_that_was_prepared_before_a_swap_finds_the_new_table() {
    let db = db().await;
    let mut reader = db.pool().acquire().await.unwrap();
    for (model, number) in [("numbers@1", 1_i64), ("numbers@2", 2)] {
        let mut tx = db.begin(&model.parse().unwrap()).await.unwrap();
        Postgres.create(&mut tx).await.unwrap();
        Postgres.put(&mut tx, "a", number).await.unwrap();
        db.publish(&mut tx).await.unwrap();
        db.commit(tx).await.unwrap();
        for _ in 0..10 {
            let read: i64 = sqlx::query_scalar("SELECT number FROM numbers").fetch_one(&mut *reader).await.unwrap();
            assert_eq!(read, number);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_logs_of_a_database_are_never_read_into_the_same_tables() {
    let (url, shutdown) = (database().await, CancellationToken::new());
    let own = Log::new(factum_postgres::open(&url).await.unwrap());
    let other = Log::new(factum_postgres::Options::default().log("other").open(&url).await.unwrap());
    deposit(other.store(), 1..=20).await;
    deposit(own.store(), 1..=10).await;
    let db = PgDb::open(&url).await.unwrap();
    let running = own.project(Balances::<1, 2>, db.clone()).start(&shutdown).await.unwrap();
    running.wait_for(own.head().await.unwrap(), PATIENCE).await.unwrap();
    let refused = other.project(Balances::<1, 2>, db.clone()).start(&shutdown).await.err();
    assert!(matches!(refused, Some(StartError::AnotherLog { .. })), "{refused:?}");
    assert_eq!(rows(&db).await, expected(10));
    shutdown.cancel();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rebuild_beside_a_writer_and_readers_goes_on_over_lost_connections() {
    let url = database().await;
    let store = factum_postgres::open(&url).await.unwrap();
    deposit(&store, 1..=3_000).await;
    let (log, db, shutdown) = (Log::new(store.clone()), PgDb::open(&url).await.unwrap(), CancellationToken::new());
    let first = log.project(Balances::<1, 1>, db.clone()).start(&shutdown).await.unwrap();
    first.wait_for(log.head().await.unwrap(), PATIENCE).await.unwrap();
    let second = log.project(Balances::<2, 2>, db.clone()).start(&shutdown).await.unwrap();
    let models = ReadModels::new(db.clone());
    let (mut next, mut least) = (3_001, 0);
    let name = "balances@2".parse().unwrap();
    for round in 0.. {
        deposit(&store, next..=next + 4).await;
        next += 5;
        // Readers never see fewer events than before; one whose connection is lost asks again.
        if let Ok(events) = sqlx::query_scalar::<_, i64>("SELECT sum(events)::bigint FROM accounts").fetch_one(db.pool()).await {
            assert!(least <= events, "{events} after {least}");
            least = events;
        }
        if round % 5 == 1 && round < 30 {
            cut_connections(&url).await;
        }
        if 30 < round && models.get(&name).await.is_ok_and(|model| model.phase == Phase::Live) {
            break;
        }
        assert!(round < 3_000, "no swap: {:?}", second.status());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let head = log.head().await.unwrap();
    second.wait_for(head, PATIENCE).await.unwrap();
    assert_eq!(rows(&db).await, expected(head.get()));
    shutdown.cancel();
    first.ended().await;
    second.ended().await;
}

/// Has the server end every connection to a database but this one.
async fn cut_connections(url: &str) {
    use sqlx::Connection;
    let mut connection = sqlx::PgConnection::connect(url).await.unwrap();
    let cut = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
               WHERE datname = current_database() AND pid <> pg_backend_pid()";
    sqlx::query(cut).execute(&mut connection).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_projection_goes_on_when_its_server_was_killed() {
    let server = Server::start(&[]);
    let store = factum_postgres::open(&server.url()).await.unwrap();
    let (log, shutdown) = (Log::new(store.clone()), CancellationToken::new());
    let db = PgDb::open(&server.url()).await.unwrap();
    let running = log.project(Balances::<1, 2>, db.clone()).start(&shutdown).await.unwrap();
    for round in 0..3 {
        deposit(&store, round * 500 + 1..=round * 500 + 500).await;
        server.kill();
        server.restart();
    }
    let head = log.head().await.unwrap();
    running.wait_for(head, PATIENCE).await.unwrap();
    assert_eq!((head.get(), rows(&db).await), (1_500, expected(1_500)));
    shutdown.cancel();
    running.ended().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_programs_that_start_a_new_read_model_at_once_all_do() {
    const PROGRAMS: usize = 6;
    let url = database().await;
    let store = factum_postgres::open(&url).await.unwrap();
    deposit(&store, 1..=10).await;
    let (barrier, shutdown) = (Arc::new(tokio::sync::Barrier::new(PROGRAMS)), CancellationToken::new());
    let mut programs = tokio::task::JoinSet::new();
    for _ in 0..PROGRAMS {
        let (log, url, barrier, shutdown) = (Log::new(store.clone()), url.clone(), barrier.clone(), shutdown.clone());
        programs.spawn(async move {
            let db = PgDb::open(&url).await.unwrap();
            barrier.wait().await;
            log.project(Balances::<1, 1>, db).start(&shutdown).await.unwrap()
        });
    }
    for running in programs.join_all().await {
        running.wait_for(store.head().await.unwrap(), PATIENCE).await.unwrap();
    }
    assert_eq!(rows(&PgDb::open(&url).await.unwrap()).await, expected(10));
    shutdown.cancel();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_at_which_no_row_is_found_is_parked_and_not_taken_for_a_server_that_is_away() {
    let url = database().await;
    let store = factum_postgres::open(&url).await.unwrap();
    store.append(deposited("account-1", -1)).await.unwrap();
    let (log, db, shutdown) = (Log::new(store), PgDb::open(&url).await.unwrap(), CancellationToken::new());
    let running = log.project(Looks, db.clone()).on_failure(OnFailure::Park(Backoff::NEVER)).start(&shutdown).await.unwrap();
    running.wait_for(log.head().await.unwrap(), PATIENCE).await.unwrap();
    assert_eq!(ReadModels::new(db).list().await.unwrap()[0].parked, 1);
    shutdown.cancel();
}

#[tokio::test]
async fn a_connection_that_could_not_begin_a_transaction_is_of_use_again() {
    let url = database().await;
    let db = PgDb::open(&url).await.unwrap();
    // As on a server that is a standby: in all sessions from here on.
    let name = url.rsplit('/').next().unwrap().split('?').next().unwrap();
    let read_only = format!("ALTER DATABASE \"{name}\" SET default_transaction_read_only = on");
    let mut other = PgConnection::connect(&url).await.unwrap();
    other.execute(sqlx::AssertSqlSafe(read_only)).await.unwrap();
    let model = ReadModelName::new("balances", 1).unwrap();
    assert_eq!(db.begin(&model).await.map(drop).unwrap_err().kind(), StoreErrorKind::ReadOnly);
    // When the connection is back, it is the one that is used.
    while db.pool().num_idle() == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    db.now().await.unwrap();
    assert_eq!(db.pool().size(), 1);
}
