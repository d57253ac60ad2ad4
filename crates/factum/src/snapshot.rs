//! A snapshot: the state of an aggregate at a version, kept so that loading need not begin at the start. Deletable at any time.

mod files;

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{Aggregate, Codec, EventId, Json, Position, StoreError, StoreErrorKind, StreamName, Version};
pub use files::FileSnapshots;

/// An aggregate whose state can be kept: see [`Repository::with_snapshots`](crate::Repository::with_snapshots).
#[diagnostic::on_unimplemented(
    message = "the state of `{Self}` cannot be kept as a snapshot",
    label = "this aggregate is not opted in",
    note = "derive `serde::Serialize` and `serde::Deserialize` for it, and `impl factum::Snapshot` with its `SCHEMA`"
)]
pub trait Snapshot: Aggregate + Serialize + DeserializeOwned {
    /// The version of the state's shape and of how it applies events: a snapshot of another is not used.
    const SCHEMA: u32;

    /// A new snapshot is due when the stream is this many events past the last one.
    const EVERY: u64 = 100;
}

/// Where snapshots are kept. It may lose any of them at any time: then the state is made again from the events.
pub trait SnapshotStore: Send + Sync + 'static {
    /// The snapshot kept for a stream; `None` where there is none, or none that can be read.
    ///
    /// # Errors
    /// [`StoreError`]; loading then begins at the start.
    fn find(&self, stream: &StreamName) -> impl Future<Output = Result<Option<SavedSnapshot>, StoreError>> + Send;

    /// Keeps a snapshot in place of the one of its stream.
    ///
    /// # Errors
    /// [`StoreError`]; what was decided stands.
    fn save(&self, snapshot: SavedSnapshot) -> impl Future<Output = Result<(), StoreError>> + Send;
}

/// A snapshot as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SavedSnapshot {
    /// The stream whose events it adds up.
    pub stream: StreamName,
    /// [`Snapshot::SCHEMA`] when it was taken.
    pub schema: u32,
    /// The version of the stream that it is the state at.
    pub version: Version,
    /// The position of the event at that version.
    pub position: Position,
    /// The id of the event at that version: where another event stands there, the snapshot is of another history.
    pub event_id: EventId,
    /// The state, as JSON.
    pub state: Bytes,
}

/// Snapshots in memory, until it is dropped. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct MemorySnapshots(Arc<Mutex<HashMap<StreamName, SavedSnapshot>>>);

impl MemorySnapshots {
    /// No snapshots yet.
    pub fn new() -> Self {
        Self::default()
    }

    fn saved(&self) -> MutexGuard<'_, HashMap<StreamName, SavedSnapshot>> {
        // A map is whole between its calls, so a panic elsewhere under the lock harms nothing.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SnapshotStore for MemorySnapshots {
    async fn find(&self, stream: &StreamName) -> Result<Option<SavedSnapshot>, StoreError> {
        Ok(self.saved().get(stream).cloned())
    }

    async fn save(&self, snapshot: SavedSnapshot) -> Result<(), StoreError> {
        self.saved().insert(snapshot.stream.clone(), snapshot);
        Ok(())
    }
}

/// A snapshot as it is used.
pub(crate) struct Taken<A> {
    pub(crate) state: A,
    pub(crate) version: Version,
    pub(crate) position: Position,
    pub(crate) event_id: EventId,
}

type Reply<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The snapshots of one type of aggregate, so that a repository of an aggregate that has none needs no [`Snapshot`] bound.
pub(crate) trait Snapshots<A>: Send + Sync {
    /// The stream's snapshot, if there is one that can be used; a failure to find it is a miss.
    fn find<'a>(&'a self, stream: &'a StreamName) -> Reply<'a, Option<Taken<A>>>;

    /// Whether a snapshot is due at this version, when the last one was at `last`.
    fn due(&self, last: Version, version: Version) -> bool;

    /// Keeps a snapshot.
    fn save<'a>(&'a self, stream: &'a StreamName, taken: &'a Taken<A>) -> Reply<'a, Result<(), StoreError>>;
}

/// [`Snapshots`] in a [`SnapshotStore`].
pub(crate) struct SnapshotsIn<S>(pub(crate) S);

impl<A: Snapshot, S: SnapshotStore> Snapshots<A> for SnapshotsIn<S> {
    fn find<'a>(&'a self, stream: &'a StreamName) -> Reply<'a, Option<Taken<A>>> {
        Box::pin(async move {
            let saved = self.0.find(stream).await.ok()??;
            if saved.stream != *stream || saved.schema != A::SCHEMA {
                return None;
            }
            let SavedSnapshot { version, position, event_id, .. } = saved;
            Json::decode(&saved.state).ok().map(|state| Taken { state, version, position, event_id })
        })
    }

    fn due(&self, last: Version, version: Version) -> bool {
        A::EVERY <= version.get().saturating_sub(last.get())
    }

    fn save<'a>(&'a self, stream: &'a StreamName, taken: &'a Taken<A>) -> Reply<'a, Result<(), StoreError>> {
        Box::pin(async move {
            let Taken { state, version, position, event_id } = taken;
            let unwritable =
                |error| StoreError::new(StoreErrorKind::Invalid, format!("the state of {stream} is no JSON: {error}"));
            let state = Json::encode(state).map_err(unwritable)?;
            let (version, position, event_id) = (*version, *position, *event_id);
            let stream = stream.clone();
            self.0.save(SavedSnapshot { stream, schema: A::SCHEMA, version, position, event_id, state }).await
        })
    }
}
