//! A read database in memory: for tests, and for read models that are made again at each start.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::ops::{Bound, Deref, DerefMut};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::OwnedMutexGuard;

use crate::{Clock, ReadDb, ReadModelName, Record, StoreError, SystemClock, Timestamp};

/// Keeps read models of type `T` until it is dropped; [`Default`] is the empty one. Clones share them.
///
/// A transaction works on a copy of the whole read model, which takes its place at the commit: keep them small.
pub struct MemoryDb<T> {
    kept: Arc<Mutex<Kept<T>>>,
    /// One transaction at a time.
    turn: Arc<tokio::sync::Mutex<()>>,
    clock: Arc<dyn Clock>,
}

/// What is committed.
struct Kept<T> {
    models: HashMap<ReadModelName, T>,
    live: HashMap<String, ReadModelName>,
    records: BTreeMap<String, String>,
}

/// A transaction on a read model: it stands for the model, as the transaction will leave it.
#[derive(Debug)]
pub struct MemoryTx<T> {
    model: ReadModelName,
    state: T,
    change: Change,
    publish: bool,
    records: BTreeMap<String, Option<String>>,
    _turn: OwnedMutexGuard<()>,
}

/// What a transaction did to its read model.
#[derive(Debug, Clone, Copy)]
enum Change {
    Nothing,
    Written,
    Dropped,
}

impl<T: Clone + Default> MemoryDb<T> {
    /// An empty database that goes by this machine's clock.
    pub fn new() -> Self {
        Self::with_clock(SystemClock)
    }

    /// An empty database that goes by another clock.
    pub fn with_clock(clock: impl Clock) -> Self {
        let kept = Kept { models: HashMap::new(), live: HashMap::new(), records: BTreeMap::new() };
        Self { kept: Arc::new(Mutex::new(kept)), turn: Arc::default(), clock: Arc::new(clock) }
    }

    /// The live read model of a projection, copied; the empty one where none is live.
    pub fn live(&self, projection: &str) -> T {
        let kept = self.kept();
        kept.live.get(projection).and_then(|name| kept.models.get(name)).cloned().unwrap_or_default()
    }

    /// A read model, live or not, copied; `None` where there is none.
    pub fn model(&self, name: &ReadModelName) -> Option<T> {
        self.kept().models.get(name).cloned()
    }
}

impl<T> MemoryDb<T> {
    fn kept(&self) -> MutexGuard<'_, Kept<T>> {
        // A commit is all that writes, and it cannot panic half-way.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T: Clone + Default + Send + Sync + 'static> ReadDb for MemoryDb<T> {
    type Tx = MemoryTx<T>;

    async fn begin(&self, model: &ReadModelName) -> Result<Self::Tx, StoreError> {
        let turn = self.turn.clone().lock_owned().await;
        let state = self.model(model).unwrap_or_default();
        let (model, records) = (model.clone(), BTreeMap::new());
        Ok(MemoryTx { model, state, change: Change::Nothing, publish: false, records, _turn: turn })
    }

    async fn commit(&self, tx: Self::Tx) -> Result<(), StoreError> {
        let MemoryTx { model, state, change, publish, records, _turn } = tx;
        let mut kept = self.kept();
        for (key, value) in records {
            match value {
                Some(value) => kept.records.insert(key, value),
                None => kept.records.remove(&key),
            };
        }
        if publish {
            kept.live.insert(model.projection().to_owned(), model.clone());
        }
        match change {
            Change::Nothing => {}
            Change::Written => drop(kept.models.insert(model, state)),
            Change::Dropped => {
                kept.live.retain(|_, live| *live != model);
                kept.models.remove(&model);
            }
        }
        Ok(())
    }

    async fn record(&self, tx: &mut Self::Tx, key: &str) -> Result<Option<String>, StoreError> {
        let changed = tx.records.get(key).cloned();
        Ok(changed.unwrap_or_else(|| self.kept().records.get(key).cloned()))
    }

    async fn replace(&self, tx: &mut Self::Tx, key: &str, old: Option<&str>, new: Option<&str>) -> Result<bool, StoreError> {
        let same = self.record(tx, key).await?.as_deref() == old;
        if same {
            tx.records.insert(key.to_owned(), new.map(str::to_owned));
        }
        Ok(same)
    }

    async fn records(&self, prefix: &str, after: &str, limit: usize) -> Result<Vec<Record>, StoreError> {
        let from = if after < prefix { Bound::Included(prefix) } else { Bound::Excluded(after) };
        let kept = self.kept();
        let found = kept.records.range::<str, _>((from, Bound::Unbounded)).take_while(|(key, _)| key.starts_with(prefix));
        Ok(found.take(limit).map(|(key, value)| Record { key: key.clone(), value: value.clone() }).collect())
    }

    async fn publish(&self, tx: &mut Self::Tx) -> Result<(), StoreError> {
        tx.publish = true;
        Ok(())
    }

    async fn drop_tables(&self, tx: &mut Self::Tx) -> Result<(), StoreError> {
        tx.state = T::default();
        tx.change = Change::Dropped;
        tx.publish = false;
        Ok(())
    }

    async fn now(&self) -> Result<Timestamp, StoreError> {
        Ok(self.clock.now())
    }
}

impl<T: Clone + Default> Default for MemoryDb<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Clone for MemoryDb<T> {
    fn clone(&self) -> Self {
        Self { kept: self.kept.clone(), turn: self.turn.clone(), clock: self.clock.clone() }
    }
}

impl<T> fmt::Debug for MemoryDb<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MemoryDb")
    }
}

impl<T> Deref for MemoryTx<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.state
    }
}

impl<T> DerefMut for MemoryTx<T> {
    fn deref_mut(&mut self) -> &mut T {
        self.change = Change::Written;
        &mut self.state
    }
}
