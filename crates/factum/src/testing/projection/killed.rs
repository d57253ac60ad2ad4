//! A process that is killed at an operation on its database.

use std::borrow::Cow;
use std::error::Error;
use std::fmt;
use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio_util::sync::CancellationToken;

use crate::{
    HandlerError, NameError, Projection, Query, ReadDb, ReadModelName, Record, RecordedEvent, StoreError, StreamName, Timestamp,
    TypedEvent,
};

/// When to kill.
#[derive(Clone)]
pub(super) struct Plan {
    operation: u64,
    /// Whether the operation is still done.
    after: bool,
    done: Arc<AtomicU64>,
    killed: CancellationToken,
}

impl Plan {
    pub(super) fn never() -> Self {
        Self::before(u64::MAX)
    }

    /// Before the operation with this number, counted from 0.
    pub(super) fn before(operation: u64) -> Self {
        Self { operation, after: false, done: Arc::default(), killed: CancellationToken::new() }
    }

    pub(super) fn after(operation: u64) -> Self {
        Self { after: true, ..Self::before(operation) }
    }

    /// A database on which it is carried out.
    pub(super) fn on<D: ReadDb>(&self, db: D) -> KilledDb<D> {
        KilledDb { db, plan: self.clone() }
    }

    /// How many operations were done.
    pub(super) fn operations(&self) -> u64 {
        self.done.load(Ordering::SeqCst)
    }

    /// Waits for something, unless the process is killed before.
    pub(super) async fn until_killed<T>(&self, something: impl Future<Output = T>) -> Option<T> {
        self.killed.run_until_cancelled(something).await
    }

    /// An operation. Once it is killed, nothing comes back any more.
    async fn operation<T>(&self, operation: impl Future<Output = T>) -> T {
        let number = self.done.fetch_add(1, Ordering::SeqCst);
        if number < self.operation {
            return operation.await;
        }
        if number == self.operation && self.after {
            operation.await;
        }
        self.killed.cancel();
        pending().await
    }
}

impl fmt::Debug for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} operation {}", if self.after { "after" } else { "before" }, self.operation)
    }
}

/// A database that is never heard of again from an operation on.
#[derive(Clone)]
pub(super) struct KilledDb<D> {
    db: D,
    plan: Plan,
}

impl<D: ReadDb> ReadDb for KilledDb<D> {
    type Tx = D::Tx;

    async fn begin(&self, model: &ReadModelName) -> Result<D::Tx, StoreError> {
        self.plan.operation(self.db.begin(model)).await
    }

    async fn commit(&self, tx: D::Tx) -> Result<(), StoreError> {
        self.plan.operation(self.db.commit(tx)).await
    }

    async fn record(&self, tx: &mut D::Tx, key: &str) -> Result<Option<String>, StoreError> {
        self.db.record(tx, key).await
    }

    async fn replace(&self, tx: &mut D::Tx, key: &str, old: Option<&str>, new: Option<&str>) -> Result<bool, StoreError> {
        self.plan.operation(self.db.replace(tx, key, old, new)).await
    }

    async fn records(&self, prefix: &str, after: &str, limit: usize) -> Result<Vec<Record>, StoreError> {
        // A look changes nothing, so nothing is learnt from killing it.
        self.db.records(prefix, after, limit).await
    }

    async fn publish(&self, tx: &mut D::Tx) -> Result<(), StoreError> {
        self.plan.operation(self.db.publish(tx)).await
    }

    async fn drop_tables(&self, tx: &mut D::Tx) -> Result<(), StoreError> {
        self.plan.operation(self.db.drop_tables(tx)).await
    }

    async fn now(&self) -> Result<Timestamp, StoreError> {
        self.db.now().await
    }

    fn is_transient(error: &(dyn Error + 'static)) -> bool {
        D::is_transient(error)
    }
}

/// The projection, on such a database.
pub(super) struct Killed<P>(pub(super) P);

impl<P: Projection> Projection for Killed<P> {
    const NAME: &'static str = P::NAME;
    const VERSION: u32 = P::VERSION;
    const PARTITIONS: u32 = P::PARTITIONS;
    const DELIVERS: bool = P::DELIVERS;
    type Events = P::Events;
    type Db = KilledDb<P::Db>;

    fn name(&self) -> Cow<'_, str> {
        self.0.name()
    }

    fn query(&self) -> Result<Query, NameError> {
        self.0.query()
    }

    fn partition_key<'a>(&self, event: &'a RecordedEvent) -> Cow<'a, str> {
        self.0.partition_key(event)
    }

    async fn create(&self, tx: &mut <P::Db as ReadDb>::Tx) -> Result<(), HandlerError> {
        self.0.create(tx).await
    }

    async fn apply(&self, tx: &mut <P::Db as ReadDb>::Tx, event: &TypedEvent<P::Events>) -> Result<(), HandlerError> {
        self.0.apply(tx, event).await
    }

    async fn deliver(&self, event: &TypedEvent<P::Events>) -> Result<(), HandlerError> {
        self.0.deliver(event).await
    }

    async fn clear_stream(&self, tx: &mut <P::Db as ReadDb>::Tx, stream: &StreamName) -> Result<(), HandlerError> {
        self.0.clear_stream(tx, stream).await
    }
}
