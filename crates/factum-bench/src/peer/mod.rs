//! The systems, behind one small trait.

use std::path::Path;
use std::sync::Arc;

use anyhow::Result;

use crate::workload::Event;

pub(crate) mod bare;
pub(crate) mod factum;
pub(crate) mod sqlite;
pub(crate) mod umadb;

/// Events in a page, where a system reads all of its events in pages.
pub(crate) const PAGE_EVENTS: usize = 10_000;

/// A system that keeps events, open on a folder.
///
/// Its appends are acknowledged when they are durable, in the settings that the system itself calls durable.
pub(crate) trait Peer: Sized + Send + Sync + 'static {
    /// One that appends to a stream of its own.
    type Writer: Writer;

    /// Whether a call blocks its thread, so that writers are threads instead of tasks.
    const BLOCKING: bool;

    /// Opens the folder, which is there but may be empty.
    async fn open(folder: &Path) -> Result<Self>;

    /// A writer of a new stream that appends this many events at a time.
    fn writer(self: &Arc<Self>, stream: &str, events: usize) -> Result<Self::Writer>;

    /// Appends events as they are, with no expectation.
    fn load(&self, events: Vec<Event>) -> impl Future<Output = Result<()>> + Send;

    /// Reads every event, in order.
    fn read_all(&self) -> impl Future<Output = Result<Tally>> + Send;

    /// Reads every event of a stream, in order.
    fn read_stream(&self, stream: String) -> impl Future<Output = Result<Tally>> + Send;

    /// Reads the events that have both tags.
    fn read_tagged(&self, tags: [String; 2]) -> impl Future<Output = Result<Tally>> + Send;

    /// Reads the events that have both tags of the event, then appends it if there is still none newer.
    fn decide(&self, event: Event) -> impl Future<Output = Result<()>> + Send;

    /// Closes it as its users would.
    async fn close(self) -> Result<()>;
}

/// One that appends to a stream of its own, expecting it as its own last append left it.
pub(crate) trait Writer: Send + 'static {
    /// Appends once; returns when the events are durable.
    fn append(&mut self) -> impl Future<Output = Result<()>> + Send;
}

/// What a read returned.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// How many events.
    pub events: u64,
    /// How many bytes of data they had.
    pub bytes: u64,
}

impl Tally {
    /// Counts one event.
    pub(crate) fn add(&mut self, data: &[u8]) {
        self.events += 1;
        self.bytes += data.len() as u64;
    }
}
