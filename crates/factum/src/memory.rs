//! A store in memory: the specification that every other backend is compared with.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use crate::limits::PAGE_BYTES;
use crate::{
    Append, AppendError, Appended, Clock, Conflict, Consumed, ConsumerName, Direction, EventId, NewEvent, Page, Position, Range,
    Read, ReadStreams, RecordedEvent, Store, StoreError, StreamName, StreamSummary, StreamsPage, SystemClock, Timestamp, Version,
};

/// Keeps events until it is dropped: for tests, and to say what every store does. Clones share the events.
///
/// It looks at every event in the range of a read, so it is as slow as it is plain.
#[derive(Clone)]
pub struct MemoryStore {
    recorded: Arc<Mutex<Recorded>>,
    head: watch::Sender<Position>,
    clock: Arc<dyn Clock>,
}

/// All that was ever recorded.
#[derive(Default)]
struct Recorded {
    events: Vec<RecordedEvent>,
    versions: HashMap<StreamName, Version>,
    ids: HashMap<EventId, Position>,
    consumed: HashMap<ConsumerName, Position>,
}

impl MemoryStore {
    /// An empty store that goes by this machine's clock.
    pub fn new() -> Self {
        Self::with_clock(SystemClock)
    }

    /// An empty store that goes by another clock.
    pub fn with_clock(clock: impl Clock) -> Self {
        Self { recorded: Arc::default(), head: watch::Sender::new(Position::START), clock: Arc::new(clock) }
    }

    fn recorded(&self) -> MutexGuard<'_, Recorded> {
        // A panic under the lock can leave no half of an append: it is checked whole before any of it is written.
        self.recorded.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

impl Store for MemoryStore {
    async fn append(&self, append: Append) -> Result<Appended, AppendError> {
        append.check()?;
        let mut recorded = self.recorded();
        if let Some(original) = recorded.repeated(&append.events)? {
            return Ok(original);
        }
        recorded.check(&append)?;
        let appended = recorded.record(append, self.clock.now());
        // Before the lock is released, so that the head never goes back.
        self.head.send_replace(recorded.head());
        Ok(appended)
    }

    async fn read(&self, read: Read) -> Result<Page, StoreError> {
        read.query.check()?;
        Ok(self.recorded().page(&read))
    }

    async fn head(&self) -> Result<Position, StoreError> {
        Ok(self.recorded().head())
    }

    async fn changed(&self, after: Position) {
        // The sender lives as long as `self`, so waiting cannot fail.
        let _ = self.head.subscribe().wait_for(|head| after < *head).await;
    }

    async fn streams(&self, read: ReadStreams) -> Result<StreamsPage, StoreError> {
        Ok(self.recorded().streams(&read))
    }

    async fn consumed(&self, consumer: ConsumerName) -> Result<Position, StoreError> {
        Ok(self.recorded().consumed(&consumer))
    }
}

impl Recorded {
    fn head(&self) -> Position {
        Position::new(self.events.len() as u64)
    }

    fn version(&self, stream: &StreamName) -> Version {
        self.versions.get(stream).copied().unwrap_or_default()
    }

    /// How far a consumer got. One that has no mark is at the start, and a mark must be further.
    fn consumed(&self, consumer: &ConsumerName) -> Position {
        self.consumed.get(consumer).copied().unwrap_or_default()
    }

    /// The original result, if these events are recorded already.
    fn repeated(&self, events: &[NewEvent]) -> Result<Option<Appended>, AppendError> {
        let Some((id, position)) = events.iter().find_map(|event| Some((event.id, *self.ids.get(&event.id)?))) else {
            return Ok(None);
        };
        let after = position.previous();
        let originals = self.events.iter().skip(after.get() as usize);
        let same = |(event, original): (&NewEvent, &RecordedEvent)| event.id == original.id && event.stream == original.stream;
        let count = events.iter().zip(originals).take_while(|&pair| same(pair)).count();
        if count < events.len() {
            return Err(AppendError::IdTaken { id, position });
        }
        let through = Position::new(after.get() + count as u64);
        Ok(Some(self.appended(Range { after, through })))
    }

    /// What the append of the events at these positions is answered with.
    fn appended(&self, positions: Range) -> Appended {
        match &self.events[positions.after.get() as usize..positions.through.get() as usize] {
            [] => Appended { positions, versions: Vec::new(), recorded_at: self.events.last().map(|last| last.recorded_at) },
            events => Appended::of(events),
        }
    }

    fn check(&self, append: &Append) -> Result<(), AppendError> {
        for (stream, expected) in &append.expected {
            let actual = self.version(stream);
            if !expected.holds(actual) {
                return Err(Conflict::Stream { stream: stream.clone(), expected: *expected, actual }.into());
            }
        }
        if let Some(condition) = &append.condition {
            let new = self.events.iter().rev().take_while(|event| condition.after < event.position);
            if let Some(event) = new.into_iter().find(|event| condition.query.selects(event)) {
                return Err(Conflict::Condition { after: condition.after, actual: event.position }.into());
            }
        }
        if let Some(Consumed { consumer, through }) = &append.consumed {
            let reached = self.consumed(consumer);
            if *through <= reached {
                return Err(AppendError::AlreadyConsumed { consumer: consumer.clone(), through: reached });
            }
        }
        Ok(())
    }

    fn record(&mut self, append: Append, now: Timestamp) -> Appended {
        let after = self.head();
        let recorded_at = self.events.last().map_or(now, |last| last.recorded_at.max(now));
        for event in append.events {
            let version = self.versions.entry(event.stream.clone()).or_default();
            *version = version.next();
            let position = Position::new(self.events.len() as u64 + 1);
            self.ids.insert(event.id, position);
            self.events.push(RecordedEvent::record(event, position, *version, recorded_at));
        }
        if let Some(Consumed { consumer, through }) = append.consumed {
            self.consumed.insert(consumer, through);
        }
        self.appended(Range { after, through: self.head() })
    }

    fn page(&self, read: &Read) -> Page {
        let head = self.head();
        let range = Range { after: read.range.after, through: read.range.through.min(head) };
        let events = if range.is_empty() { &[] } else { &self.events[range.after.get() as usize..range.through.get() as usize] };
        let selected: Box<dyn Iterator<Item = &RecordedEvent>> = match read.direction {
            Direction::Forward => Box::new(events.iter()),
            Direction::Backward => Box::new(events.iter().rev()),
        };
        let mut page = Page { events: Vec::new(), rest: None, head };
        let mut bytes = 0;
        for event in selected.filter(|event| read.query.selects(event)) {
            page.events.push(event.clone());
            bytes += event.payload.data.len() + event.metadata.text_bytes();
            if page.events.len() == read.page_limit() || PAGE_BYTES <= bytes {
                let rest = match read.direction {
                    Direction::Forward => Range { after: event.position, through: read.range.through },
                    Direction::Backward => Range { after: range.after, through: event.position.previous() },
                };
                let last = Range { after: rest.after, through: rest.through.min(head) };
                page.rest = (!last.is_empty()).then_some(rest);
                break;
            }
        }
        page
    }

    fn streams(&self, read: &ReadStreams) -> StreamsPage {
        let limit = read.limit.max(1);
        let first_events = self.events.iter().skip(read.after.get() as usize).filter(|event| event.version == Version::new(1));
        let mut selected = first_events.filter(|event| {
            event.stream.as_str().starts_with(&read.prefix)
                && read.category.as_ref().is_none_or(|category| event.stream.category() == *category)
        });
        let streams: Vec<_> = selected.by_ref().take(limit).map(|event| self.summary(event)).collect();
        let rest = selected.next().and(streams.last()).map(|stream| stream.first.position);
        StreamsPage { streams, rest }
    }

    fn summary(&self, first: &RecordedEvent) -> StreamSummary {
        let version = self.version(&first.stream);
        let last = self.events.iter().rev().find(|event| event.stream == first.stream).unwrap_or(first);
        StreamSummary { name: first.stream.clone(), version, first: first.into(), last: last.into() }
    }
}
