//! A subscription is a read that waits.
//!
//! Catching up and following are one loop: read a page; if there is none left, wait until the head moves, read again.
//! There is no moment of switching from one to the other, so there is no event to miss at it.

use tokio_util::sync::CancellationToken;

use crate::{Page, Position, Query, Range, Read, RecordedEvent, Store, StoreError};

/// The events that a query selects, from a position on and for ever, until its shutdown token is cancelled.
///
/// It pulls: one page of events is all that it holds, however far behind its reader is.
pub struct Subscription<S> {
    store: S,
    read: Read,
    checkpoint: Position,
    shutdown: CancellationToken,
}

/// What a subscription hands out at a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// The events, in position order; none where the query selected none up to the checkpoint.
    pub events: Vec<RecordedEvent>,
    /// Everything the query selects up to here has been handed out: where to begin again.
    pub checkpoint: Position,
    /// The head of the store when the batch was read: what is between is the lag.
    pub head: Position,
}

impl<S: Store> Subscription<S> {
    /// Subscribes to what the query selects after `after`.
    pub fn new(store: S, query: Query, after: Position, shutdown: CancellationToken) -> Self {
        Self { store, read: Read::new(query), checkpoint: after, shutdown }
    }

    /// With at most this many events a batch.
    #[must_use]
    pub fn batch_limit(mut self, limit: usize) -> Self {
        self.read.limit = limit;
        self
    }

    /// Everything the query selects up to here has been handed out.
    pub fn checkpoint(&self) -> Position {
        self.checkpoint
    }

    /// The next batch, once the checkpoint can move; `None` when the shutdown token is cancelled.
    ///
    /// Dropping the future loses nothing: the checkpoint moves when a batch is handed out.
    ///
    /// # Errors
    /// [`StoreError`] where the store cannot be read. The subscription can go on from its checkpoint.
    pub async fn next(&mut self) -> Result<Option<Batch>, StoreError> {
        let shutdown = self.shutdown.clone();
        match shutdown.run_until_cancelled(self.advance()).await {
            Some(batch) => batch.map(Some),
            None => Ok(None),
        }
    }

    async fn advance(&mut self) -> Result<Batch, StoreError> {
        loop {
            let range = Range::after(self.checkpoint);
            let page = self.store.read(self.read.clone().range(range)).await?;
            let through = page.through(range);
            if self.checkpoint < through {
                self.checkpoint = through;
                let Page { events, head, .. } = page;
                return Ok(Batch { events, checkpoint: through, head });
            }
            self.store.changed(self.checkpoint).await;
        }
    }
}
