//! The store: where events are recorded, and read.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use crate::{Append, AppendError, Appended, ConsumerName, Page, Position, Read, ReadStreams, StreamsPage};

/// What keeps events: the one boundary between the library above it and the backends below.
///
/// An implementor keeps the laws, and proves it with [`testing::store`](crate::testing::store):
/// recorded events never change (1); an append records all or nothing (2), durably once it is acknowledged (3);
/// positions are handed out in commit order, so that nothing appears at or below a position that any reader has seen (4);
/// the check of an append and its write are one step (5); a repeat with the same event ids is answered with the original
/// result (6); an unknown event type is carried like any other (10).
pub trait Store: Send + Sync + 'static {
    /// Records all of the events or none, if every expectation and the condition hold.
    ///
    /// Checked in this order: the append itself ([`Append::check`]), repeats, expectations, the condition, what was consumed.
    /// A repeat is an append whose events are all recorded, next to each other, in this order and in these streams: it is
    /// answered with their positions and versions. Dropping the future does not take the append back.
    ///
    /// # Errors
    /// [`AppendError`] says why nothing was recorded, or that it is unknown whether something was.
    fn append(&self, append: Append) -> impl Future<Output = Result<Appended, AppendError>> + Send;

    /// One page of the events that a query selects.
    ///
    /// # Errors
    /// [`StoreError`] where the store cannot be read.
    fn read(&self, read: Read) -> impl Future<Output = Result<Page, StoreError>> + Send;

    /// The position of the last event.
    ///
    /// # Errors
    /// [`StoreError`] where the store cannot be read.
    fn head(&self) -> impl Future<Output = Result<Position, StoreError>> + Send;

    /// Resolves when the head may have moved past `after`, or the store has closed. A hint: the reader looks for itself.
    fn changed(&self, after: Position) -> impl Future<Output = ()> + Send;

    /// One page of the streams.
    ///
    /// # Errors
    /// [`StoreError`] where the store cannot be read.
    fn streams(&self, read: ReadStreams) -> impl Future<Output = Result<StreamsPage, StoreError>> + Send;

    /// How far a consumer has handled its source; [`Position::START`] where it has recorded nothing.
    ///
    /// # Errors
    /// [`StoreError`] where the store cannot be read.
    fn consumed(&self, consumer: ConsumerName) -> impl Future<Output = Result<Position, StoreError>> + Send;
}

/// A failure of a store, of any backend.
#[derive(Clone)]
pub struct StoreError {
    kind: StoreErrorKind,
    message: String,
    source: Option<Arc<dyn std::error::Error + Send + Sync>>,
}

/// What a caller can do about a [`StoreError`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StoreErrorKind {
    /// Nothing was recorded; try again later.
    Unavailable,
    /// It is unknown whether the append was recorded; repeat it with the same event ids.
    UnknownOutcome,
    /// Nothing was recorded; free space, then try again.
    Full,
    /// This store can only be read here.
    ReadOnly,
    /// Another process writes to this store.
    Locked,
    /// There is no store here.
    NotFound,
    /// What was stored is damaged; restore it from a backup.
    Corrupt,
    /// It was written by a newer version, or is something else; use the right program.
    Unsupported,
    /// The request is one that no store serves: mend the caller.
    Invalid,
    /// The store is closed; open it again.
    Closed,
}

impl StoreError {
    /// A failure of a kind; the message is a fragment that fits "failed to …: {message}" and says what to do.
    pub fn new(kind: StoreErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), source: None }
    }

    /// With the failure below it.
    #[must_use]
    pub fn caused_by(mut self, source: impl std::error::Error + Send + Sync + 'static) -> Self {
        self.source = Some(Arc::new(source));
        self
    }

    /// What the caller can do about it.
    pub fn kind(&self) -> StoreErrorKind {
        self.kind
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl fmt::Debug for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.kind, self.message)?;
        self.source.as_ref().map_or(Ok(()), |source| write!(f, ": {source}"))
    }
}

impl std::error::Error for StoreError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}

impl From<crate::limits::LimitError> for StoreError {
    fn from(limit: crate::limits::LimitError) -> Self {
        Self::new(StoreErrorKind::Invalid, limit.to_string())
    }
}

/// Any store, behind one type, so that what is built on a store need not name it. Clones share the store.
#[derive(Clone)]
pub struct AnyStore(Arc<dyn ErasedStore>);

impl AnyStore {
    /// Erases the type of a store.
    pub fn new(store: impl Store) -> Self {
        Self(Arc::new(store))
    }
}

impl fmt::Debug for AnyStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AnyStore")
    }
}

type Reply<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// [`Store`], as a trait that can be made into an object: one box a call, which is nothing beside a sync.
trait ErasedStore: Send + Sync {
    fn append(&self, append: Append) -> Reply<'_, Result<Appended, AppendError>>;
    fn read(&self, read: Read) -> Reply<'_, Result<Page, StoreError>>;
    fn head(&self) -> Reply<'_, Result<Position, StoreError>>;
    fn changed(&self, after: Position) -> Reply<'_, ()>;
    fn streams(&self, read: ReadStreams) -> Reply<'_, Result<StreamsPage, StoreError>>;
    fn consumed(&self, consumer: ConsumerName) -> Reply<'_, Result<Position, StoreError>>;
}

impl<S: Store> ErasedStore for S {
    fn append(&self, append: Append) -> Reply<'_, Result<Appended, AppendError>> {
        Box::pin(Store::append(self, append))
    }

    fn read(&self, read: Read) -> Reply<'_, Result<Page, StoreError>> {
        Box::pin(Store::read(self, read))
    }

    fn head(&self) -> Reply<'_, Result<Position, StoreError>> {
        Box::pin(Store::head(self))
    }

    fn changed(&self, after: Position) -> Reply<'_, ()> {
        Box::pin(Store::changed(self, after))
    }

    fn streams(&self, read: ReadStreams) -> Reply<'_, Result<StreamsPage, StoreError>> {
        Box::pin(Store::streams(self, read))
    }

    fn consumed(&self, consumer: ConsumerName) -> Reply<'_, Result<Position, StoreError>> {
        Box::pin(Store::consumed(self, consumer))
    }
}

impl Store for AnyStore {
    fn append(&self, append: Append) -> impl Future<Output = Result<Appended, AppendError>> + Send {
        self.0.append(append)
    }

    fn read(&self, read: Read) -> impl Future<Output = Result<Page, StoreError>> + Send {
        self.0.read(read)
    }

    fn head(&self) -> impl Future<Output = Result<Position, StoreError>> + Send {
        self.0.head()
    }

    fn changed(&self, after: Position) -> impl Future<Output = ()> + Send {
        self.0.changed(after)
    }

    fn streams(&self, read: ReadStreams) -> impl Future<Output = Result<StreamsPage, StoreError>> + Send {
        self.0.streams(read)
    }

    fn consumed(&self, consumer: ConsumerName) -> impl Future<Output = Result<Position, StoreError>> + Send {
        self.0.consumed(consumer)
    }
}
