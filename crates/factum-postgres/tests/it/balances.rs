//! The accounts that the projections of these tests add up: what they write depends on each event, once, and on their order.

use factum::{Append, Event, HandlerError, NewEvent, Payload, Projection, Store, StreamName, TypedEvent};
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

/// The accounts, as a query finds them.
pub(crate) async fn rows(db: &PgDb) -> Vec<Row> {
    let select = "SELECT account, cents, events, trace FROM accounts ORDER BY account COLLATE \"C\"";
    sqlx::query_as(select).fetch_all(db.pool()).await.unwrap()
}

/// The accounts after this many deposits, as they are to be.
pub(crate) fn expected(events: u64) -> Vec<Row> {
    let mut accounts = std::collections::BTreeMap::new();
    for number in 1..=events {
        let (cents, position) = (cents(number), i64::try_from(number).unwrap());
        let (_, sum, events, trace) = accounts.entry(account(number)).or_insert_with(|| (account(number), 0, 0, 0));
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
