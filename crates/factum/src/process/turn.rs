//! A turn: what a process records in one append, of one input or of many.

use std::collections::BTreeMap;

use super::failed::Failed;
use super::journal::{Entry, Names};
use crate::limits::{APPEND_BYTES_MAX, APPEND_EVENTS_MAX};
use crate::{Append, Appended, Expected, NewEvent, Position, RecordedEvent, StreamName, Timestamp, Version};

/// After this many events, instances or inputs a turn is recorded.
const TURN_EVENTS: usize = 1_000;
/// After this many bytes of data.
const TURN_BYTES: usize = 4 << 20;

/// Own events that are about to be recorded.
#[derive(Debug, Default)]
pub(crate) struct Turn {
    events: Vec<NewEvent>,
    bytes: usize,
    /// The versions that instances had before, those included on which nothing had an effect: what was decided depends on them.
    versions: BTreeMap<StreamName, Version>,
    /// Inputs that it is the answer to.
    pub(crate) inputs: usize,
    pub(crate) entries: Vec<Entry>,
    /// The first of the timers that its events set.
    next_due: Option<Timestamp>,
}

impl Turn {
    /// Adds what happens to an instance that was at this version.
    pub(crate) fn add(&mut self, stream: StreamName, before: Version, events: Vec<NewEvent>) {
        self.versions.entry(stream).or_insert(before);
        self.bytes += events.iter().map(bytes).sum::<usize>();
        self.events.extend(events);
    }

    /// Its events set timers that go off then.
    pub(crate) fn expect_timers(&mut self, due: &[Timestamp]) {
        self.next_due = self.next_due.into_iter().chain(due.iter().copied()).min();
    }

    /// When the first of the timers goes off that are set once it is recorded, where none of its events takes that back.
    pub(crate) fn next_due(&self) -> Option<Timestamp> {
        self.next_due
    }

    /// Whether these can go into the same append.
    pub(crate) fn has_room_for(&self, events: &[NewEvent]) -> bool {
        let bytes = events.iter().map(bytes).sum::<usize>();
        self.versions.is_empty() || (self.events.len() + events.len() <= TURN_EVENTS && self.bytes + bytes <= TURN_BYTES)
    }

    pub(crate) fn is_full(&self) -> bool {
        [self.events.len(), self.versions.len(), self.inputs].iter().any(|count| TURN_EVENTS <= *count)
            || TURN_BYTES <= self.bytes
    }

    /// Whether there is something to record beside how far the process is.
    pub(crate) fn has_events(&self) -> bool {
        !self.events.is_empty() || !self.entries.is_empty()
    }

    pub(crate) fn writes_to(&self, stream: &StreamName) -> bool {
        self.events.iter().any(|event| event.stream == *stream)
    }

    /// The append that records it, if nobody else has recorded anything that it depends on.
    pub(crate) fn append(&self, names: &Names, journal: Version, consumed: Option<Position>) -> Result<Append, Failed> {
        let entries = self.entries.iter().map(|entry| entry.event(&names.journal)).collect::<Result<Vec<_>, _>>()?;
        let events = self.events.iter().cloned().chain(entries).collect();
        let mut append = Append::new(events).expect(names.journal.clone(), Expected::Exact(journal));
        append.expected.extend(self.versions.iter().map(|(stream, version)| (stream.clone(), Expected::Exact(*version))));
        Ok(match consumed {
            Some(through) => append.consumed(names.consumer.clone(), through),
            None => append,
        })
    }
}

/// The events of an append as the store has recorded them; `None` where it had recorded them before, on another state.
pub(crate) fn recorded(append: Append, appended: &Appended) -> Option<Vec<RecordedEvent>> {
    let mut versions: BTreeMap<StreamName, Version> = BTreeMap::new();
    for (stream, expected) in append.expected {
        if let Expected::Exact(version) = expected {
            versions.insert(stream, version);
        }
    }
    let mut position = appended.positions.after;
    let recorded_at = appended.recorded_at.unwrap_or(Timestamp::from_micros(0));
    let mut events = Vec::with_capacity(append.events.len());
    for event in append.events {
        let version = versions.get_mut(&event.stream)?;
        *version = version.next();
        position = position.next();
        events.push(RecordedEvent::record(event, position, *version, recorded_at));
    }
    appended.versions.iter().all(|(stream, version)| versions.get(stream) == Some(version)).then_some(events)
}

/// Refuses more events of one instance than an append can have, beside what else is in it.
pub(crate) fn check(events: &[NewEvent]) -> Result<(), Failed> {
    Append::new(events.to_vec()).check().map_err(Failed::here)?;
    if APPEND_EVENTS_MAX / 2 < events.len() || APPEND_BYTES_MAX / 2 < events.iter().map(bytes).sum() {
        return Err(Failed::Here(format!("{} events at once are more than an append has room for", events.len())));
    }
    Ok(())
}

fn bytes(event: &NewEvent) -> usize {
    event.payload.data.len() + event.metadata.text_bytes()
}
