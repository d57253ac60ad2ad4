//! eventcore: appends to several streams at once, each with its version.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, bail};
use eventcore_postgres::PostgresEventStore;
use eventcore_types::{BatchSize, Event, EventFilter, EventPage, EventReader, EventStore, StreamId, StreamVersion, StreamWrites};
use serde::{Deserialize, Serialize};

use crate::contender::{self, Contender, Seen};
use crate::entry::Entry;

/// Events in a page, and how soon it is asked again where there were none.
const PAGE_EVENTS: usize = 1_000;
const POLL: Duration = Duration::from_millis(1);

/// The event, with its stream as eventcore writes it.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Recorded {
    stream: StreamId,
    student: String,
    course: String,
    number: u64,
    note: String,
}

impl Event for Recorded {
    fn stream_id(&self) -> &StreamId {
        &self.stream
    }

    fn event_type_name() -> &'static str {
        "StudentEnrolled"
    }
}

impl Recorded {
    fn new(Entry { stream, student, course, number, note }: Entry) -> Result<Self> {
        Ok(Self { stream: StreamId::try_new(stream)?, student, course, number, note })
    }
}

/// An open store.
pub(crate) struct Eventcore {
    store: PostgresEventStore,
}

/// A writer that expects its stream at the version that it left it at.
pub(crate) struct Writer {
    store: PostgresEventStore,
    stream: StreamId,
    version: usize,
}

impl Contender for Eventcore {
    type Writer = Writer;

    async fn open(url: &str) -> Result<Self> {
        let store = PostgresEventStore::new(url).await?;
        store.migrate().await;
        Ok(Self { store })
    }

    fn writer(&self, number: u64) -> Result<Writer> {
        let stream = StreamId::try_new(format!("writer-{number}"))?;
        Ok(Writer { store: self.store.clone(), stream, version: 0 })
    }

    async fn follow(self: Arc<Self>, seen: Seen) -> Result<()> {
        let limit = BatchSize::new(PAGE_EVENTS);
        let mut page = EventPage::first(limit);
        loop {
            let events: Vec<(Recorded, _)> = self.store.read_events(EventFilter::all(), page).await?;
            events.iter().for_each(|(event, _)| seen.add(event.number));
            match events.last() {
                Some(&(_, last)) => page = EventPage::after(last, limit),
                None => tokio::time::sleep(POLL).await,
            }
        }
    }

    async fn load(&self, _entries: Vec<Entry>) -> Result<()> {
        bail!("eventcore is not loaded")
    }

    async fn decide(&self, _entry: Entry) -> Result<()> {
        bail!("eventcore has no conditions but the versions of streams")
    }
}

impl contender::Writer for Writer {
    async fn append(&mut self, entries: Vec<Entry>) -> Result<u64> {
        let count = entries.len();
        let mut writes = StreamWrites::new().register_stream(self.stream.clone(), StreamVersion::new(self.version))?;
        for entry in entries {
            writes = writes.append(Recorded::new(entry)?)?;
        }
        self.store.append_events(writes).await?;
        self.version += count;
        Ok(0)
    }
}
