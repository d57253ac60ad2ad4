//! The log: what readers and the writer share of an open store.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use factum::{Position, StoreError};
use tokio::sync::watch;
use uuid::Uuid;

use crate::disk::Disk;
use crate::error::closed;
use crate::index::Index;
use crate::segment::Segment;

/// Segments in their order; never none.
pub(crate) type Segments = Vec<Arc<Segment>>;

/// An open log.
pub(crate) struct Log {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) id: Uuid,
    pub(crate) index: Index,
    segments: RwLock<Arc<Segments>>,
    /// Published: durable, and to be read. What the segments and the index have beyond it is not there yet.
    head: watch::Sender<Position>,
    closed: AtomicBool,
    /// Why a reader beside a writer can't go on.
    failure: OnceLock<StoreError>,
}

impl Log {
    pub(crate) fn new(disk: Arc<dyn Disk>, segments: Segments, index: Index, head: Position) -> Self {
        let id = segments[0].header.log_id;
        Self {
            disk,
            id,
            index,
            segments: RwLock::new(Arc::new(segments)),
            head: watch::Sender::new(head),
            closed: AtomicBool::new(false),
            failure: OnceLock::new(),
        }
    }

    pub(crate) fn head(&self) -> Position {
        *self.head.borrow()
    }

    /// Lets readers see everything up to here.
    pub(crate) fn publish(&self, head: Position) {
        self.head.send_replace(head);
    }

    pub(crate) fn segments(&self) -> Arc<Segments> {
        Arc::clone(&self.segments.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn add_segment(&self, segment: Arc<Segment>) {
        Arc::make_mut(&mut self.segments.write().unwrap_or_else(PoisonError::into_inner)).push(segment);
    }

    /// Puts other segments in place of all, which hold the same events and perhaps more.
    pub(crate) fn replace_segments(&self, segments: Segments) {
        *self.segments.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(segments);
    }

    pub(crate) fn check_open(&self) -> Result<(), StoreError> {
        match self.failure.get() {
            Some(failure) => Err(failure.clone()),
            None if self.closed.load(Ordering::Acquire) => Err(closed()),
            None => Ok(()),
        }
    }

    /// Tells readers from now on what went wrong, and wakes those that wait.
    pub(crate) fn fail(&self, failure: StoreError) {
        let _ = self.failure.set(failure);
        self.head.send_modify(|_| {});
    }

    /// Refuses readers from now on and wakes those that wait.
    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.head.send_modify(|_| {});
    }

    /// Resolves when the head is past `after`, or the log is closed.
    pub(crate) async fn changed(&self, after: Position) {
        // The sender lives as long as the log, so waiting cannot fail.
        let _ = self.head.subscribe().wait_for(|head| after < *head || self.check_open().is_err()).await;
    }
}

/// The segment in which a position is, by its index.
pub(crate) fn segment_of(segments: &Segments, position: u64) -> usize {
    segments.partition_point(|segment| segment.header.first_position <= position).saturating_sub(1)
}
