//! The accounts that the projections of these tests add up.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use factum::{
    Aggregate, Backoff, Event, HandlerError, Log, MemoryDb, MemoryStore, MemoryTx, Position, Projection, ReadModelName,
    RecordedEvent, Running, StreamName, TypedEvent,
};
use tokio_util::sync::CancellationToken;

#[derive(Debug, Clone, PartialEq, Event)]
#[event(prefix = "Account")]
pub(super) enum AccountEvent {
    Deposited { cents: u64 },
    Refused,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Account;

impl Aggregate for Account {
    const CATEGORY: &'static str = "account";
    type Id = String;
    type Event = AccountEvent;

    fn apply(&mut self, _event: &AccountEvent) {}
}

/// Balances, by account, and the positions of the events in them, in the order in which they were applied.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Balances {
    pub(super) cents: BTreeMap<String, u64>,
    pub(super) applied: BTreeMap<String, Vec<u64>>,
}

pub(super) type Db = MemoryDb<Balances>;

type Apply = Arc<dyn Fn(&TypedEvent<AccountEvent>, u32) -> Result<(), HandlerError> + Send + Sync>;
type Deliver = Arc<dyn Fn(&TypedEvent<AccountEvent>) -> Result<(), HandlerError> + Send + Sync>;

/// What happens in a projection is for the test to say.
#[derive(Clone, Default)]
pub(super) struct Hooks {
    /// Called with each event when it is applied, and with how often it was.
    pub(super) apply: Option<Apply>,
    pub(super) calls: Arc<Mutex<HashMap<Position, u32>>>,
    pub(super) delivered: Arc<Mutex<Vec<u64>>>,
    pub(super) deliver: Option<Deliver>,
    pub(super) create: Option<Arc<dyn Fn() -> Result<(), HandlerError> + Send + Sync>>,
    pub(super) key: Option<fn(&RecordedEvent) -> String>,
}

impl Hooks {
    pub(super) fn failing(
        apply: impl Fn(&TypedEvent<AccountEvent>, u32) -> Result<(), HandlerError> + Send + Sync + 'static,
    ) -> Self {
        Self { apply: Some(Arc::new(apply)), ..Self::default() }
    }

    /// How often an event was given to `apply`.
    pub(super) fn calls(&self, position: u64) -> u32 {
        self.calls.lock().unwrap().get(&Position::new(position)).copied().unwrap_or_default()
    }

    pub(super) fn delivered(&self) -> Vec<u64> {
        self.delivered.lock().unwrap().clone()
    }
}

/// A version of the balances, in so many partitions.
#[derive(Clone, Default)]
pub(super) struct Bank<const VERSION: u32, const PARTITIONS: u32 = 1, const DELIVERS: bool = false>(pub(super) Hooks);

impl<const VERSION: u32, const PARTITIONS: u32, const DELIVERS: bool> Projection for Bank<VERSION, PARTITIONS, DELIVERS> {
    const NAME: &'static str = "balances";
    const VERSION: u32 = VERSION;
    const PARTITIONS: u32 = PARTITIONS;
    const DELIVERS: bool = DELIVERS;
    type Events = AccountEvent;
    type Db = Db;

    fn partition_key<'a>(&self, event: &'a RecordedEvent) -> Cow<'a, str> {
        self.0.key.map_or_else(|| event.stream.as_str().into(), |key| key(event).into())
    }

    async fn create(&self, _tx: &mut MemoryTx<Balances>) -> Result<(), HandlerError> {
        self.0.create.as_ref().map_or(Ok(()), |create| create())
    }

    async fn apply(&self, tx: &mut MemoryTx<Balances>, event: &TypedEvent<AccountEvent>) -> Result<(), HandlerError> {
        let account = event.stream.to_string();
        if let AccountEvent::Deposited { cents } = event.data {
            *tx.cents.entry(account.clone()).or_default() += cents;
        }
        tx.applied.entry(account).or_default().push(event.position.get());
        let calls = {
            let mut calls = self.0.calls.lock().unwrap();
            let calls = calls.entry(event.position).or_default();
            *calls += 1;
            *calls
        };
        self.0.apply.as_ref().map_or(Ok(()), |apply| apply(event, calls))
    }

    async fn deliver(&self, event: &TypedEvent<AccountEvent>) -> Result<(), HandlerError> {
        self.0.deliver.as_ref().map_or(Ok(()), |deliver| deliver(event))?;
        self.0.delivered.lock().unwrap().push(event.position.get());
        Ok(())
    }

    async fn clear_stream(&self, tx: &mut MemoryTx<Balances>, stream: &StreamName) -> Result<(), HandlerError> {
        tx.cents.remove(stream.as_str());
        tx.applied.remove(stream.as_str());
        Ok(())
    }
}

/// A log, a database, and the token that ends what runs on them.
pub(super) struct World {
    pub(super) log: Log,
    pub(super) db: Db,
    pub(super) shutdown: CancellationToken,
}

/// Long enough for anything but a deadlock.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);
/// Tried three times, at once.
pub(super) const THRICE: Backoff = Backoff { first: Duration::from_millis(1), longest: Duration::from_millis(1), tries: 3 };

impl World {
    pub(super) fn new() -> Self {
        Self { log: Log::new(MemoryStore::new()), db: Db::new(), shutdown: CancellationToken::new() }
    }

    /// Pays in, once into each account.
    pub(super) async fn deposit(&self, accounts: &[&str]) -> Position {
        for account in accounts {
            self.decide(account, AccountEvent::Deposited { cents: 10 }).await;
        }
        self.log.head().await.unwrap()
    }

    pub(super) async fn decide(&self, account: &str, event: AccountEvent) {
        let accounts = self.log.repository::<Account>();
        let id = account.to_owned();
        accounts.decide(&id, |_| Ok::<_, std::convert::Infallible>(vec![event.clone()])).await.unwrap();
    }

    pub(super) async fn start<P: Projection<Db = Db>>(&self, projection: P) -> Running<P> {
        self.log.project(projection, self.db.clone()).start(&self.shutdown).await.unwrap()
    }

    pub(super) fn live(&self) -> Balances {
        self.db.live("balances")
    }
}

/// The balances of these events, each applied once and in order.
pub(super) async fn expected(log: &Log) -> Balances {
    let mut balances = Balances::default();
    let mut pages = log.read(factum::Read::new(factum::Query::all()));
    while let Some(page) = pages.next().await.unwrap() {
        for event in page.events {
            let account = event.stream.to_string();
            if let Some(AccountEvent::Deposited { cents }) = event.decode().unwrap() {
                *balances.cents.entry(account.clone()).or_default() += cents;
            }
            balances.applied.entry(account).or_default().push(event.position.get());
        }
    }
    balances
}

pub(super) fn name(text: &str) -> ReadModelName {
    text.parse().unwrap()
}

/// Looks until it is so.
pub(super) async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    for _ in 0..4_000 {
        if is_so().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("{what} did not come about");
}
