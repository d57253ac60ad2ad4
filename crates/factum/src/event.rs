//! An event, before it is recorded and after.

use std::fmt;
use std::str::FromStr;

use uuid::{ContextV7, Uuid};

use crate::name::name;
use crate::{Metadata, NameError, Payload, Position, StreamName, Tag, Timestamp, Version};

/// The identity of an event: a UUID, of version 7 where Factum makes it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventId(Uuid);

impl EventId {
    /// A new id: a UUIDv7 (RFC 9562), so that ids made later sort later.
    #[expect(clippy::new_without_default, reason = "no two of them are the same")]
    pub fn new() -> Self {
        // A context a thread: they need not wait for each other, and a thread's ids still rise.
        thread_local!(static CONTEXT: ContextV7 = const { ContextV7::new() });
        CONTEXT.with(|context| Self(Uuid::new_v7(uuid::Timestamp::now(context))))
    }

    /// The id of one of the things that follow from what this one names: the UUIDv5 of it and of the thing's number.
    pub(crate) fn numbered(self, number: usize) -> Self {
        Self(Uuid::new_v5(&self.0, &(number as u64).to_be_bytes()))
    }

    /// The id that follows from this one and a name, always the same: a UUIDv5 in the namespace of this one.
    pub(crate) fn derived(self, name: &str) -> Self {
        Self(Uuid::new_v5(&self.0, name.as_bytes()))
    }

    /// The id's UUID.
    pub const fn uuid(self) -> Uuid {
        self.0
    }
}

impl From<Uuid> for EventId {
    fn from(uuid: Uuid) -> Self {
        Self(uuid)
    }
}

impl FromStr for EventId {
    type Err = uuid::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

name! {
    /// The stored name of a kind of event, such as `AccountOpened`.
    EventType, "an event type", 256
}

/// An event to record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewEvent {
    /// Its identity: an append with the same ids is the same append.
    pub id: EventId,
    /// The stream it goes to.
    pub stream: StreamName,
    /// What kind of event it is.
    pub event_type: EventType,
    /// The version of the event type's shape, counted from 1.
    pub schema: u32,
    /// What queries and boundaries find it by, each tag once; at most [`limits::TAGS_MAX`](crate::limits::TAGS_MAX).
    pub tags: Vec<Tag>,
    /// Who, why and from where.
    pub metadata: Metadata,
    /// What happened.
    pub payload: Payload,
}

impl NewEvent {
    /// An event with a new id, of schema 1, without tags or metadata.
    ///
    /// # Errors
    /// [`NameError`] where the event type is no name.
    pub fn new(stream: StreamName, event_type: &str, payload: Payload) -> Result<Self, NameError> {
        Ok(Self {
            id: EventId::new(),
            stream,
            event_type: EventType::new(event_type)?,
            schema: 1,
            tags: Vec::new(),
            metadata: Metadata::default(),
            payload,
        })
    }
}

/// An event as it is recorded: it never changes and never moves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordedEvent {
    /// Its ordinal in the store.
    pub position: Position,
    /// Its ordinal in its stream.
    pub version: Version,
    /// When the store recorded it: never before the time of an event at a lower position.
    pub recorded_at: Timestamp,
    /// Its identity.
    pub id: EventId,
    /// The stream it is in.
    pub stream: StreamName,
    /// What kind of event it is; perhaps one that this build does not know.
    pub event_type: EventType,
    /// The version of the event type's shape, counted from 1.
    pub schema: u32,
    /// What queries and boundaries find it by.
    pub tags: Vec<Tag>,
    /// Who, why and from where.
    pub metadata: Metadata,
    /// What happened.
    pub payload: Payload,
}

impl RecordedEvent {
    /// The event that a store records for `new`.
    pub fn record(new: NewEvent, position: Position, version: Version, recorded_at: Timestamp) -> Self {
        let NewEvent { id, stream, event_type, schema, tags, metadata, payload } = new;
        Self { position, version, recorded_at, id, stream, event_type, schema, tags, metadata, payload }
    }
}
