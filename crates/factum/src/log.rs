//! A log: a store, with the metadata that goes on every event.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::{
    Aggregate, AnyStore, Append, AppendError, Appended, ConsumerName, EventId, Metadata, Page, Position, Query, Read,
    ReadStreams, RecordedEvent, Repository, Scope, Selector, Store, StoreError, StoreErrorKind, StreamsPage, Subscription,
};

/// A handle on a store: where commands are decided, and events read. Clones share the store.
///
/// ```
/// # use factum::{Log, MemoryStore, Metadata};
/// let log = Log::new(MemoryStore::new());
/// let by_ann = log.with(Metadata::default().actor("ann")); // for as long as she is served
/// ```
#[derive(Debug, Clone)]
pub struct Log {
    store: AnyStore,
    metadata: Arc<Metadata>,
    once: Option<EventId>,
}

/// How often an append whose outcome is unknown is repeated, with the same event ids, before that is reported.
pub const REPEATS_MAX: u32 = 3;

impl Log {
    /// A log on this store.
    pub fn new(store: impl Store) -> Self {
        Self { store: AnyStore::new(store), metadata: Arc::default(), once: None }
    }

    /// The log with this metadata on every event that it appends, beside what it has already. What an event itself has wins.
    #[must_use]
    pub fn with(&self, metadata: Metadata) -> Self {
        Self { metadata: Arc::new(metadata.or(&self.metadata)), ..self.clone() }
    }

    /// The log for one decision that may be made again, by a retry or after a crash, and is to have its outcome once: where it
    /// was recorded under this key already, that is the answer, and nothing is decided.
    ///
    /// Its events have ids that follow from the key: the UUIDv5 (RFC 9562) of it and of their number, counted from 0.
    #[must_use]
    pub fn once(&self, key: EventId) -> Self {
        Self { once: Some(key), ..self.clone() }
    }

    /// The aggregates of one type.
    pub fn repository<A: Aggregate>(&self) -> Repository<A> {
        Repository::new(self.clone())
    }

    /// Records events as they are, each with the log's metadata beside its own.
    ///
    /// An append whose outcome is unknown, or that finds the store unavailable, is repeated as it is up to [`REPEATS_MAX`] times:
    /// no event is recorded twice.
    ///
    /// # Errors
    /// [`AppendError`] says why nothing was recorded, or that it is unknown whether something was.
    pub async fn append(&self, mut append: Append) -> Result<Appended, AppendError> {
        for (number, event) in append.events.iter_mut().enumerate() {
            event.metadata = std::mem::take(&mut event.metadata).or(&self.metadata);
            if let Some(key) = self.once {
                event.id = key.numbered(number);
            }
        }
        let mut unknown = None;
        for _ in 0..REPEATS_MAX {
            match self.store.append(append.clone()).await {
                Err(AppendError::Store(error)) if error.kind() == StoreErrorKind::UnknownOutcome => unknown = Some(error),
                Err(AppendError::Store(error)) if error.kind() == StoreErrorKind::Unavailable => {}
                outcome => return known(outcome, unknown),
            }
        }
        known(self.store.append(append).await, unknown)
    }

    /// What was recorded under the key of [`once`](Self::once), if anything was.
    pub(crate) async fn recorded_once(&self) -> Result<Option<Vec<RecordedEvent>>, StoreError> {
        let Some(key) = self.once else { return Ok(None) };
        let mut recorded = Vec::new();
        loop {
            let event = Query::from(Selector::from(Scope::Event(key.numbered(recorded.len()))));
            let page = self.store.read(Read::new(event).limit(1)).await?;
            match page.events.into_iter().next() {
                Some(event) => recorded.push(event),
                None => return Ok((!recorded.is_empty()).then_some(recorded)),
            }
        }
    }

    /// The events that a read selects, page after page.
    pub fn read(&self, read: Read) -> Pages {
        Pages { store: self.store.clone(), read: Some(read) }
    }

    /// The events that a query selects, after a position and for ever, until the shutdown token is cancelled.
    pub fn subscribe(&self, query: Query, after: Position, shutdown: CancellationToken) -> Subscription<AnyStore> {
        Subscription::new(self.store.clone(), query, after, shutdown)
    }

    /// The position of the last event.
    ///
    /// # Errors
    /// [`StoreError`] where the store cannot be read.
    pub async fn head(&self) -> Result<Position, StoreError> {
        self.store.head().await
    }

    /// One page of the streams.
    ///
    /// # Errors
    /// [`StoreError`] where the store cannot be read.
    pub async fn streams(&self, read: ReadStreams) -> Result<StreamsPage, StoreError> {
        self.store.streams(read).await
    }

    /// How far a consumer has handled its source.
    ///
    /// # Errors
    /// [`StoreError`] where the store cannot be read.
    pub async fn consumed(&self, consumer: ConsumerName) -> Result<Position, StoreError> {
        self.store.consumed(consumer).await
    }

    /// The store below.
    pub fn store(&self) -> &AnyStore {
        &self.store
    }
}

/// What is known after repeats: where an attempt may have been recorded, a store that fails later does not undo that.
fn known(outcome: Result<Appended, AppendError>, unknown: Option<StoreError>) -> Result<Appended, AppendError> {
    match (outcome, unknown) {
        (Err(AppendError::Store(_)), Some(unknown)) => Err(unknown.into()),
        (outcome, _) => outcome,
    }
}

/// The pages of a read, pulled: one is held at a time.
#[derive(Debug)]
pub struct Pages {
    store: AnyStore,
    read: Option<Read>,
}

impl Pages {
    /// The next page; `None` at the end of the range, or at the head. A page may have no events and yet not be the last.
    ///
    /// Dropping the future loses nothing, and neither does an error: the page is read again.
    ///
    /// # Errors
    /// [`StoreError`] where the store cannot be read.
    pub async fn next(&mut self) -> Result<Option<Page>, StoreError> {
        let Some(read) = &self.read else { return Ok(None) };
        let page = self.store.read(read.clone()).await?;
        self.read = self.read.take().zip(page.rest).map(|(read, rest)| read.range(rest));
        Ok(Some(page))
    }
}
