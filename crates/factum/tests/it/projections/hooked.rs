//! A database that does what a test says before each of its operations.

use std::pin::Pin;
use std::sync::Arc;

use factum::{HandlerError, MemoryTx, Projection, ReadDb, ReadModelName, Record, StoreError, StreamName, Timestamp, TypedEvent};

use super::bank::{AccountEvent, Balances, Db};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operation {
    Begin,
    Commit,
    /// One that is done, and whose outcome is what the hook says.
    Committed,
    Records,
}

type Outcome = Pin<Box<dyn Future<Output = Result<(), StoreError>> + Send>>;
type Hook = Arc<dyn Fn(Operation) -> Outcome + Send + Sync>;

#[derive(Clone)]
pub(super) struct HookedDb {
    db: Db,
    hook: Hook,
}

impl HookedDb {
    pub(super) fn new<F>(db: &Db, hook: impl Fn(Operation) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<(), StoreError>> + Send + 'static,
    {
        Self { db: db.clone(), hook: Arc::new(move |operation| Box::pin(hook(operation))) }
    }
}

impl ReadDb for HookedDb {
    type Tx = MemoryTx<Balances>;

    async fn begin(&self, model: &ReadModelName) -> Result<Self::Tx, StoreError> {
        (self.hook)(Operation::Begin).await?;
        self.db.begin(model).await
    }

    async fn commit(&self, tx: Self::Tx) -> Result<(), StoreError> {
        (self.hook)(Operation::Commit).await?;
        self.db.commit(tx).await?;
        (self.hook)(Operation::Committed).await
    }

    async fn record(&self, tx: &mut Self::Tx, key: &str) -> Result<Option<String>, StoreError> {
        self.db.record(tx, key).await
    }

    async fn replace(&self, tx: &mut Self::Tx, key: &str, old: Option<&str>, new: Option<&str>) -> Result<bool, StoreError> {
        self.db.replace(tx, key, old, new).await
    }

    async fn records(&self, prefix: &str, after: &str, limit: usize) -> Result<Vec<Record>, StoreError> {
        (self.hook)(Operation::Records).await?;
        self.db.records(prefix, after, limit).await
    }

    async fn publish(&self, tx: &mut Self::Tx) -> Result<(), StoreError> {
        self.db.publish(tx).await
    }

    async fn drop_tables(&self, tx: &mut Self::Tx) -> Result<(), StoreError> {
        self.db.drop_tables(tx).await
    }

    async fn now(&self) -> Result<Timestamp, StoreError> {
        self.db.now().await
    }
}

/// A projection, on such a database.
pub(super) struct On<P>(pub(super) P);

impl<P: Projection<Db = Db, Events = AccountEvent>> Projection for On<P> {
    const NAME: &'static str = P::NAME;
    const VERSION: u32 = P::VERSION;
    const PARTITIONS: u32 = P::PARTITIONS;
    const DELIVERS: bool = P::DELIVERS;
    type Events = AccountEvent;
    type Db = HookedDb;

    async fn create(&self, tx: &mut MemoryTx<Balances>) -> Result<(), HandlerError> {
        self.0.create(tx).await
    }

    async fn apply(&self, tx: &mut MemoryTx<Balances>, event: &TypedEvent<AccountEvent>) -> Result<(), HandlerError> {
        self.0.apply(tx, event).await
    }

    async fn deliver(&self, event: &TypedEvent<AccountEvent>) -> Result<(), HandlerError> {
        self.0.deliver(event).await
    }

    async fn clear_stream(&self, tx: &mut MemoryTx<Balances>, stream: &StreamName) -> Result<(), HandlerError> {
        self.0.clear_stream(tx, stream).await
    }
}
