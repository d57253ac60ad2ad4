//! The accounts that the projections of these tests add up: what they write depends on each event, once, and on their order.

use std::collections::BTreeMap;

use factum::{
    Append, Event, HandlerError, NewEvent, Payload, Position, Projection, Query, Range, Read, Store, StreamName, TypedEvent,
};
use factum_postgres::{PgDb, PgTx};

#[derive(Debug, Clone, PartialEq, Event)]
#[event(prefix = "Account")]
pub(crate) enum AccountEvent {
    Deposited { cents: i64 },
}

/// A version of the balances, in so many partitions.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Balances<const VERSION: u32, const PARTITIONS: u32>;

/// What is kept of an account: its name, its cents, the number of its events, and a trace that differs where events are applied
/// twice, not at all, or in another order.
pub(crate) type Row = (String, i64, i64, i64);

/// A prime, so that every event stays in the trace.
const MODULUS: i64 = 1_000_000_007;

impl<const VERSION: u32, const PARTITIONS: u32> Projection for Balances<VERSION, PARTITIONS> {
    const NAME: &'static str = "balances";
    const VERSION: u32 = VERSION;
    const PARTITIONS: u32 = PARTITIONS;
    type Events = AccountEvent;
    type Db = PgDb;

    async fn create(&self, tx: &mut PgTx) -> Result<(), HandlerError> {
        tx.query("CREATE TABLE {accounts} (account text PRIMARY KEY, cents bigint, events bigint, trace bigint)")
            .execute(tx.connection())
            .await?;
        tx.query("CREATE INDEX {by_cents} ON {accounts} (cents)").execute(tx.connection()).await?;
        Ok(())
    }

    async fn apply(&self, tx: &mut PgTx, event: &TypedEvent<AccountEvent>) -> Result<(), HandlerError> {
        let AccountEvent::Deposited { cents } = event.data;
        tx.query(
            "INSERT INTO {accounts} AS a VALUES ($1, $2, 1, $3) ON CONFLICT (account) DO UPDATE
             SET cents = a.cents + $2, events = a.events + 1, trace = (a.trace * 31 + $3) % $4",
        )
        .bind(event.stream.to_string())
        .bind(cents)
        .bind(i64::try_from(event.position.get())?)
        .bind(MODULUS)
        .execute(tx.connection())
        .await?;
        Ok(())
    }
}

/// Looks for what is not there where a deposit is of less than nothing.
pub(crate) struct Looks;

impl Projection for Looks {
    const NAME: &'static str = "looks";
    const VERSION: u32 = 1;
    type Events = AccountEvent;
    type Db = PgDb;

    async fn create(&self, _tx: &mut PgTx) -> Result<(), HandlerError> {
        Ok(())
    }

    async fn apply(&self, tx: &mut PgTx, event: &TypedEvent<AccountEvent>) -> Result<(), HandlerError> {
        let AccountEvent::Deposited { cents } = event.data;
        sqlx::query("SELECT 1 WHERE 0 <= $1").bind(cents).fetch_one(tx.connection()).await?;
        Ok(())
    }
}

/// An append of one deposit.
pub(crate) fn deposited(account: &str, cents: i64) -> Append {
    let data = Payload::json(format!(r#"{{"cents":{cents}}}"#));
    Append::new(vec![NewEvent::new(account.parse().unwrap(), "AccountDeposited", data).unwrap()])
}

/// The accounts, as a query finds them.
pub(crate) async fn rows(db: &PgDb) -> Vec<Row> {
    let select = "SELECT account, cents, events, trace FROM accounts ORDER BY account COLLATE \"C\"";
    sqlx::query_as(select).fetch_all(db.pool()).await.unwrap()
}

/// The accounts after this many deposits, as they are to be.
pub(crate) fn expected(events: u64) -> Vec<Row> {
    expected_of((1..=events).map(|number| (account(number), cents(number), number)))
}

/// Checks that each account has all of its events up to a position, and may be some more, once and in order.
pub(crate) async fn check_rows(found: &[Row], store: &impl Store, through: Position) {
    let (mut deposits, mut rest) = (BTreeMap::<String, Vec<_>>::new(), Some(Range::after(Position::START)));
    while let Some(range) = rest {
        let page = store.read(Read::new(Query::all()).range(range)).await.unwrap();
        for event in &page.events {
            let AccountEvent::Deposited { cents } = event.decode().unwrap().unwrap();
            let account = event.stream.to_string();
            deposits.entry(account.clone()).or_default().push((account, cents, event.position.get()));
        }
        rest = page.rest;
    }
    let mut found: BTreeMap<&str, &Row> = found.iter().map(|row| (row.0.as_str(), row)).collect();
    for (account, deposits) in deposits {
        let least = deposits.partition_point(|(_, _, position)| *position <= through.get());
        let row = found.remove(account.as_str());
        let events = row.map_or(0, |row| row.2 as usize);
        assert!((least..=deposits.len()).contains(&events), "{account} has {events} events of {}", deposits.len());
        assert_eq!(row, expected_of(deposits[..events].to_vec()).first());
    }
    assert!(found.is_empty(), "{found:?} have no events");
}

/// The accounts after deposits, each with its account, its cents and its position.
fn expected_of(deposits: impl IntoIterator<Item = (String, i64, u64)>) -> Vec<Row> {
    let mut accounts = BTreeMap::new();
    for (account, cents, position) in deposits {
        let position = i64::try_from(position).unwrap();
        let (_, sum, events, trace) = accounts.entry(account.clone()).or_insert((account, 0, 0, 0));
        *sum += cents;
        *events += 1;
        *trace = if *events == 1 { position } else { (*trace * 31 + position) % MODULUS };
    }
    accounts.into_values().collect()
}

/// The account of the event at a position.
fn account(number: u64) -> String {
    format!("account-{}", number * 7 % ACCOUNTS)
}

const ACCOUNTS: u64 = 100;

fn cents(number: u64) -> i64 {
    i64::try_from(number % 100).unwrap()
}

/// Appends these deposits to the store.
pub(crate) async fn deposit(store: &impl Store, events: std::ops::RangeInclusive<u64>) {
    let deposits: Vec<NewEvent> = events
        .map(|number| {
            let stream = StreamName::new(account(number)).unwrap();
            let data = Payload::json(format!(r#"{{"cents":{}}}"#, cents(number)));
            NewEvent::new(stream, "AccountDeposited", data).unwrap()
        })
        .collect();
    for some in deposits.chunks(1_000) {
        store.append(Append::new(some.to_vec())).await.unwrap();
    }
}
