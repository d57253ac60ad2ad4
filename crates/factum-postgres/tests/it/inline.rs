//! Read models that are kept inline: what an append records is in them when it is acknowledged, from all processes that append.

use factum::{AppendError, HandlerError, Position, Projection, Store, StoreErrorKind, TypedEvent};
use factum_postgres::{Logs, Options, PgDb, PgTx, PostgresStore};
use tokio::task::JoinSet;

use crate::balances::{AccountEvent, Balances, Looks, deposit, deposited, expected, rows};
use crate::support::database;

async fn with_balances<const VERSION: u32>(url: &str) -> PostgresStore {
    Options::default().inline(Balances::<VERSION, 1>).open(url).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_racing_processes_append_is_in_the_read_model_when_it_is_acknowledged() {
    const WRITERS: u64 = 14;
    const EVENTS: u64 = 40;
    let url = database().await;
    let stores = [with_balances::<1>(&url).await, with_balances::<1>(&url).await];
    let db = PgDb::open(&url).await.unwrap();
    let mut writers = JoinSet::new();
    for number in 0..WRITERS {
        let (store, db) = (stores[number as usize % 2].clone(), db.clone());
        writers.spawn(async move {
            for count in 1..=EVENTS {
                let append = deposited(&format!("account-{number}"), 1);
                // A repeat changes nothing.
                store.append(append.clone()).await.unwrap();
                store.append(append).await.unwrap();
                let select = sqlx::query_scalar::<_, i64>("SELECT events FROM accounts WHERE account = $1");
                let there = select.bind(format!("account-{number}")).fetch_one(db.pool()).await.unwrap();
                assert_eq!(there, count as i64);
            }
        });
    }
    writers.join_all().await;
    assert_eq!(rows(&db).await.len(), WRITERS as usize);
}

#[tokio::test]
async fn what_was_recorded_before_is_there_and_a_new_version_takes_the_place_of_the_old_one() {
    let url = database().await;
    deposit(&factum_postgres::open(&url).await.unwrap(), 1..=2_500).await;
    let first = with_balances::<1>(&url).await;
    let db = PgDb::open(&url).await.unwrap();
    assert_eq!(rows(&db).await, expected(2_500));
    deposit(&first, 2_501..=2_600).await;
    assert_eq!(rows(&db).await, expected(2_600));

    let second = with_balances::<2>(&url).await;
    deposit(&second, 2_601..=2_700).await;
    assert_eq!(rows(&db).await, expected(2_700));
    // Of two versions, the older one's programs can neither append nor open.
    for refused in [first.append(deposited("account-1", 1)).await.unwrap_err(), outdated(&url).await.into()] {
        assert!(matches!(&refused, AppendError::Store(error) if error.kind() == StoreErrorKind::Unsupported), "{refused}");
    }
}

async fn outdated(url: &str) -> factum::StoreError {
    Options::default().inline(Balances::<1, 1>).open(url).await.unwrap_err()
}

#[tokio::test]
async fn a_program_that_does_not_keep_it_records_nothing_until_it_is_dropped() {
    let url = database().await;
    let store = with_balances::<1>(&url).await;
    store.append(deposited("account-1", 1)).await.unwrap();
    let without = factum_postgres::open(&url).await.unwrap();
    let refused = without.append(deposited("account-1", 2)).await.unwrap_err().to_string();
    assert!(refused.contains("balances@1"), "{refused}");
    assert_eq!(without.head().await.unwrap(), Position::new(1));

    let model = "balances@1".parse().unwrap();
    assert!(Logs::at(&url).unwrap().drop_inline("main", &model).await.unwrap());
    without.append(deposited("account-1", 2)).await.unwrap();
    assert!(!Logs::at(&url).unwrap().drop_inline("main", &model).await.unwrap());
    // It can be kept again.
    with_balances::<1>(&url).await;
    assert_eq!(rows(&PgDb::open(&url).await.unwrap()).await[0].1, 3);
}

/// Refuses what would take more out of an account than is in it.
struct NoDebts;

impl Projection for NoDebts {
    const NAME: &'static str = "no-debts";
    const VERSION: u32 = 1;
    type Events = AccountEvent;
    type Db = PgDb;

    async fn create(&self, tx: &mut PgTx) -> Result<(), HandlerError> {
        let create = "CREATE TABLE {no_debts} (account text PRIMARY KEY, cents bigint CHECK (0 <= cents))";
        tx.query(create).execute(tx.connection()).await?;
        Ok(())
    }

    async fn apply(&self, tx: &mut PgTx, event: &TypedEvent<AccountEvent>) -> Result<(), HandlerError> {
        let AccountEvent::Deposited { cents } = event.data;
        tx.query("INSERT INTO {no_debts} AS d VALUES ($1, 0) ON CONFLICT DO NOTHING")
            .bind(event.stream.to_string())
            .execute(tx.connection())
            .await?;
        tx.query("UPDATE {no_debts} SET cents = cents + $2 WHERE account = $1")
            .bind(event.stream.to_string())
            .bind(cents)
            .execute(tx.connection())
            .await?;
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_append_that_a_read_model_cannot_apply_records_nothing_and_the_others_of_its_batch_are_recorded() {
    const WRITERS: usize = 12;
    let url = database().await;
    let store = Options::default().inline(NoDebts).inline(Balances::<1, 1>).open(&url).await.unwrap();
    let mut writers = JoinSet::new();
    for number in 0..WRITERS {
        let store = store.clone();
        // Every third of them takes out what is not there.
        let cents = if number % 3 == 0 { -1 } else { 1 };
        writers.spawn(async move { (cents, store.append(deposited(&format!("account-{number}"), cents)).await) });
    }
    for (cents, outcome) in writers.join_all().await {
        match outcome {
            Ok(_) => assert_eq!(cents, 1),
            Err(AppendError::Store(error)) => {
                assert_eq!((cents, error.kind()), (-1, StoreErrorKind::Invalid));
                assert!(error.to_string().contains("no-debts@1, which is kept inline, cannot apply"), "{error}");
            }
            Err(other) => panic!("{other}"),
        }
    }
    assert_eq!(store.head().await.unwrap(), Position::new(WRITERS as u64 * 2 / 3));
    let db = PgDb::open(&url).await.unwrap();
    let debts: i64 = sqlx::query_scalar("SELECT count(*) FROM no_debts").fetch_one(db.pool()).await.unwrap();
    assert_eq!((debts, rows(&db).await.len()), (8, 8));
}

/// Notes each account once, and takes it for harmless where it is noted already.
struct Noted;

impl Projection for Noted {
    const NAME: &'static str = "noted";
    const VERSION: u32 = 1;
    type Events = AccountEvent;
    type Db = PgDb;

    async fn create(&self, tx: &mut PgTx) -> Result<(), HandlerError> {
        tx.query("CREATE TABLE {noted} (account text PRIMARY KEY)").execute(tx.connection()).await?;
        Ok(())
    }

    async fn apply(&self, tx: &mut PgTx, event: &TypedEvent<AccountEvent>) -> Result<(), HandlerError> {
        let _ = tx.query("INSERT INTO {noted} VALUES ($1)").bind(event.stream.to_string()).execute(tx.connection()).await;
        Ok(())
    }
}

#[tokio::test]
async fn an_append_is_refused_where_a_read_model_passes_over_a_statement_that_failed() {
    let store = Options::default().inline(Noted).open(&database().await).await.unwrap();
    store.append(deposited("account-1", 1)).await.unwrap();
    let refused = store.append(deposited("account-1", 2)).await.unwrap_err();
    assert!(matches!(&refused, AppendError::Store(error) if error.kind() == StoreErrorKind::Invalid), "{refused}");
    assert!(refused.to_string().contains("a statement before it failed"), "{refused}");
    assert_eq!(store.head().await.unwrap(), Position::new(1));
    let appended = store.append(deposited("account-2", 3)).await.unwrap();
    assert_eq!(appended.positions.through, Position::new(2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_append_at_which_a_read_model_finds_no_row_is_refused_alone() {
    let store = Options::default().inline(Looks).open(&database().await).await.unwrap();
    let mut writers = JoinSet::new();
    for number in 0..12 {
        let (store, cents) = (store.clone(), if number == 5 { -1 } else { 1 });
        writers.spawn(async move { (cents, store.append(deposited(&format!("account-{number}"), cents)).await) });
    }
    for (cents, outcome) in writers.join_all().await {
        let kind = outcome
            .as_ref()
            .err()
            .map(|error| matches!(error, AppendError::Store(error) if error.kind() == StoreErrorKind::Invalid));
        assert_eq!(kind, (cents < 0).then_some(true), "{outcome:?}");
    }
    assert_eq!(store.head().await.unwrap(), Position::new(11));
}

/// Takes its time.
struct Slow;

impl Projection for Slow {
    const NAME: &'static str = "slow";
    const VERSION: u32 = 1;
    type Events = AccountEvent;
    type Db = PgDb;

    async fn create(&self, _tx: &mut PgTx) -> Result<(), HandlerError> {
        Ok(())
    }

    async fn apply(&self, tx: &mut PgTx, _event: &TypedEvent<AccountEvent>) -> Result<(), HandlerError> {
        sqlx::query("SELECT pg_sleep(0.03)").execute(tx.connection()).await?;
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn appends_that_take_longer_together_than_a_call_may_are_called_by_and_by() {
    const APPENDS: u64 = 400;
    let store = Options::default().inline(Slow).open(&database().await).await.unwrap();
    let mut writers = JoinSet::new();
    for number in 0..APPENDS {
        let store = store.clone();
        writers.spawn(async move { store.append(deposited(&format!("account-{number}"), 1)).await.unwrap() });
    }
    writers.join_all().await;
    assert_eq!(store.head().await.unwrap(), Position::new(APPENDS));
}

/// Panics where a deposit is of nothing.
struct Panics;

impl Projection for Panics {
    const NAME: &'static str = "panics";
    const VERSION: u32 = 1;
    type Events = AccountEvent;
    type Db = PgDb;

    async fn create(&self, _tx: &mut PgTx) -> Result<(), HandlerError> {
        Ok(())
    }

    async fn apply(&self, _tx: &mut PgTx, event: &TypedEvent<AccountEvent>) -> Result<(), HandlerError> {
        let AccountEvent::Deposited { cents } = event.data;
        assert_ne!(cents, 0, "nothing is deposited");
        Ok(())
    }
}

#[tokio::test]
async fn an_append_that_a_read_model_panics_at_is_refused_and_the_store_goes_on() {
    let store = Options::default().inline(Panics).open(&database().await).await.unwrap();
    let refused = store.append(deposited("account-1", 0)).await.unwrap_err();
    assert!(matches!(&refused, AppendError::Store(error) if error.kind() == StoreErrorKind::Invalid), "{refused}");
    assert!(refused.to_string().contains("nothing is deposited"), "{refused}");
    let appended = store.append(deposited("account-1", 1)).await.unwrap();
    assert_eq!(appended.positions.through, Position::new(1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_version_that_comes_while_others_append_has_each_event_once() {
    let url = database().await;
    let old = with_balances::<1>(&url).await;
    let writer = tokio::spawn(async move {
        let mut recorded = 0;
        // Until the new version is in place.
        while old.append(deposited("account-1", 1)).await.is_ok() {
            recorded += 1;
        }
        recorded
    });
    tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    let new = with_balances::<2>(&url).await;
    let recorded: i64 = tokio::time::timeout(std::time::Duration::from_secs(60), writer).await.unwrap().unwrap();
    new.append(deposited("account-1", 1)).await.unwrap();
    let found = rows(&PgDb::open(&url).await.unwrap()).await;
    assert_eq!(found.iter().map(|row| (row.1, row.2)).collect::<Vec<_>>(), [(recorded + 1, recorded + 1)]);
    assert!(0 < recorded, "nobody appended, so nothing was tested");
}
