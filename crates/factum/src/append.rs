//! An append: what is to be recorded, and what must hold for it.

use std::collections::{HashMap, HashSet};

use crate::limits::{self, LimitError};
use crate::{ConsumerName, EventId, NewEvent, Position, Query, Range, RecordedEvent, StoreError, StreamName, Timestamp, Version};

/// Events to record, all of them or none, if every expectation and the condition hold.
///
/// ```
/// # use factum::{Append, Expected, NewEvent, Payload, StreamName};
/// # let stream: StreamName = "account-42".parse()?;
/// # let event = NewEvent::new(stream.clone(), "AccountOpened", Payload::json("{}"))?;
/// let append = Append::new(vec![event]).expect(stream, Expected::NO_STREAM);
/// # Ok::<(), factum::NameError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Append {
    /// Each names its stream; their order is kept. None is allowed: such an append only checks and marks.
    pub events: Vec<NewEvent>,
    /// What must hold of streams, written to or not, each named once; nothing of those not named.
    pub expected: Vec<(StreamName, Expected)>,
    /// What must not have happened.
    pub condition: Option<Condition>,
    /// What it handles.
    pub consumed: Option<Consumed>,
}

/// What must hold of a stream before an append.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Expected {
    /// Anything. Repeats are still known by their event ids.
    Any,
    /// It is at this version.
    Exact(Version),
    /// It has at least one event.
    Exists,
}

impl Expected {
    /// The stream has no events yet.
    pub const NO_STREAM: Self = Self::Exact(Version::EMPTY);

    /// Whether a stream at `actual` is as expected.
    pub fn holds(self, actual: Version) -> bool {
        match self {
            Self::Any => true,
            Self::Exact(version) => actual == version,
            Self::Exists => Version::EMPTY < actual,
        }
    }
}

/// "No event that the query selects after this position": a dynamic consistency boundary.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    /// What must not have happened.
    pub query: Query,
    /// Since when: the position that the decision's read was made at.
    pub after: Position,
}

/// "I have handled my source up to here", recorded with the events that this led to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Consumed {
    /// Who.
    pub consumer: ConsumerName,
    /// Up to where, in whatever the consumer counts; each time further than the last, and the first time than the start.
    pub through: Position,
}

/// What an append recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Appended {
    /// Where its events are, next to each other: the last at `positions.through`. Empty, and at the head, where it had none.
    pub positions: Range,
    /// The streams written to, in the order in which they first appear, each with its version after the append.
    pub versions: Vec<(StreamName, Version)>,
    /// When the store recorded it; where it recorded no event, the time of the last one before it.
    pub recorded_at: Option<Timestamp>,
}

impl Appended {
    /// What the append of these events, which stand next to each other, was answered with.
    ///
    /// # Panics
    /// Where there is none.
    pub fn of(events: &[RecordedEvent]) -> Self {
        let mut versions: Vec<(StreamName, Version)> = Vec::new();
        let mut places = HashMap::new();
        for event in events {
            let place = *places.entry(&event.stream).or_insert(versions.len());
            match versions.get_mut(place) {
                Some((_, version)) => *version = event.version,
                None => versions.push((event.stream.clone(), event.version)),
            }
        }
        let (first, last) = (&events[0], &events[events.len() - 1]);
        let positions = Range { after: first.position.previous(), through: last.position };
        Self { positions, versions, recorded_at: Some(last.recorded_at) }
    }
}

/// Why an append recorded nothing.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum AppendError {
    /// Another writer got there first: read on and decide again.
    #[error(transparent)]
    Conflict(#[from] Conflict),
    /// Some event is recorded already, though not all of them next to each other and in this order: use new ids.
    #[error("event {id} is recorded already, at position {position}, in another append: give new events new ids")]
    IdTaken {
        /// The first such id of the append.
        id: EventId,
        /// Where its event is.
        position: Position,
    },
    /// The consumer got this far before: drop the work, another did it.
    #[error("consumer {consumer} has handled its source through {through} already")]
    AlreadyConsumed {
        /// Who.
        consumer: ConsumerName,
        /// Up to where.
        through: Position,
    },
    /// The append itself is wrong: no store takes it.
    #[error(transparent)]
    Invalid(#[from] InvalidAppend),
    /// The store failed; its [`kind`](StoreError::kind) says what to do, and whether anything may have been recorded.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The expectation or the condition that does not hold, with what does.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Conflict {
    /// The first expectation that does not hold.
    #[error("stream {stream} is at version {actual}, not {expected}")]
    Stream {
        /// The stream.
        stream: StreamName,
        /// What was expected of it.
        expected: Expected,
        /// The version it is at.
        actual: Version,
    },
    /// The condition does not hold.
    #[error("an event that the condition's query selects is at position {actual}, after {after}")]
    Condition {
        /// The condition's position.
        after: Position,
        /// The position of the last event that the query selects.
        actual: Position,
    },
}

impl std::fmt::Display for Expected {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Any => f.write_str("any"),
            Self::Exact(version) => version.fmt(f),
            Self::Exists => f.write_str("one that exists"),
        }
    }
}

/// Why no store takes an append.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidAppend {
    /// It is too large.
    #[error(transparent)]
    Limit(#[from] LimitError),
    /// Two of its events have one id.
    #[error("event id {id} stands twice in one append")]
    IdTwice {
        /// The id.
        id: EventId,
    },
    /// It expects two things of one stream.
    #[error("stream {stream} has two expectations in one append")]
    ExpectedTwice {
        /// The stream.
        stream: StreamName,
    },
}

impl Append {
    /// An append of these events, to streams in any state.
    pub fn new(events: Vec<NewEvent>) -> Self {
        Self { events, ..Self::default() }
    }

    /// With an expectation of a stream.
    #[must_use]
    pub fn expect(mut self, stream: StreamName, expected: Expected) -> Self {
        self.expected.push((stream, expected));
        self
    }

    /// With a condition.
    #[must_use]
    pub fn condition(mut self, query: Query, after: Position) -> Self {
        self.condition = Some(Condition { query, after });
        self
    }

    /// With a mark of what it handles.
    #[must_use]
    pub fn consumed(mut self, consumer: ConsumerName, through: Position) -> Self {
        self.consumed = Some(Consumed { consumer, through });
        self
    }

    /// Refuses what no store takes; every store calls it first.
    ///
    /// # Errors
    /// [`InvalidAppend`] says what is wrong.
    pub fn check(&self) -> Result<(), InvalidAppend> {
        self.check_limits()?;
        if 1 < self.events.len() {
            let mut ids = HashSet::with_capacity(self.events.len());
            if let Some(event) = self.events.iter().find(|event| !ids.insert(event.id)) {
                return Err(InvalidAppend::IdTwice { id: event.id });
            }
        }
        let mut streams = HashSet::new();
        match self.expected.iter().find(|(stream, _)| !streams.insert(stream)) {
            Some((stream, _)) => Err(InvalidAppend::ExpectedTwice { stream: stream.clone() }),
            None => Ok(()),
        }
    }

    fn check_limits(&self) -> Result<(), LimitError> {
        limits::check("events in an append", self.events.len(), limits::APPEND_EVENTS_MAX)?;
        limits::check("streams with an expectation in an append", self.expected.len(), limits::EXPECTATIONS_MAX)?;
        let mut bytes = 0;
        for event in &self.events {
            let metadata = event.metadata.text_bytes();
            limits::check("bytes of data in an event", event.payload.data.len(), limits::EVENT_BYTES_MAX)?;
            limits::check("bytes of text in an event's metadata", metadata, limits::METADATA_BYTES_MAX)?;
            limits::check("tags on an event", event.tags.len(), limits::TAGS_MAX)?;
            bytes += event.payload.data.len() + metadata;
        }
        limits::check("bytes of data and metadata in an append", bytes, limits::APPEND_BYTES_MAX)?;
        self.condition.as_ref().map_or(Ok(()), |condition| condition.query.check())
    }
}
