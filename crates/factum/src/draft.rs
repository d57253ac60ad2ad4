//! A draft: an event that is decided, with where it is to go.

use crate::aggregate::{self, Aggregate};
use crate::{CodecError, DecideError, Event, EventId, EventType, Metadata, NameError, NewEvent, Payload, StreamName, Tag};

/// An event to record, of any type: so one decision can have events of several types, and for several streams.
///
/// An event becomes a draft by [`From`], and then goes to the stream of its first tag: `course-c1` where that is `course:c1`.
/// [`Draft::of`] makes one for an aggregate. What cannot be written or named fails where the draft is to be recorded.
#[derive(Debug)]
pub struct Draft(Result<Written, CodecError>);

/// The event as bytes.
#[derive(Debug)]
struct Written {
    event_type: &'static str,
    name: EventType,
    schema: u32,
    stream: Option<StreamName>,
    tags: Vec<Tag>,
    metadata: Metadata,
    payload: Payload,
    reread: Reread,
}

/// Reads an event and writes it again, by the type that it was of; `None` where that does not know its own event.
type Reread = fn(&NewEvent) -> Result<Option<Payload>, CodecError>;

impl<E: Event> From<E> for Draft {
    fn from(event: E) -> Self {
        Self(Written::new(&event))
    }
}

impl Draft {
    /// The event of an aggregate: it goes to the aggregate's stream, and has its tag.
    pub fn of<A: Aggregate>(id: &A::Id, event: &A::Event) -> Self {
        aggregate::stream::<A>(id).map_or_else(|error| Self(Err(error.into())), |stream| Self::of_stream::<A>(stream, event))
    }

    /// An event of the aggregate that has this stream, or one about it.
    pub(crate) fn of_stream<A: Aggregate>(stream: StreamName, event: &impl Event) -> Self {
        let of_aggregate = |mut written: Written| {
            written.tag(aggregate::tag::<A>(&stream)?);
            written.stream = Some(stream);
            Ok(written)
        };
        Self(Written::new(event).and_then(of_aggregate))
    }

    /// To this stream instead.
    #[must_use]
    pub fn to(mut self, stream: StreamName) -> Self {
        if let Ok(written) = &mut self.0 {
            written.stream = Some(stream);
        }
        self
    }

    /// To this stream, where nothing says another.
    pub(crate) fn or_to(mut self, stream: StreamName) -> Self {
        if let Ok(written) = &mut self.0
            && written.tags.is_empty()
        {
            written.stream.get_or_insert(stream);
        }
        self
    }

    /// With metadata of its own, which wins over that of the [`Log`](crate::Log) it is recorded with.
    #[must_use]
    pub fn metadata(mut self, metadata: Metadata) -> Self {
        if let Ok(written) = &mut self.0 {
            written.metadata = metadata;
        }
        self
    }

    /// The event to append, with a new id.
    pub(crate) fn into_new_event(self) -> Result<NewEvent, DraftError> {
        let Written { event_type, name, schema, stream, tags, metadata, payload, .. } = self.0?;
        let stream = match (stream, tags.first()) {
            (Some(stream), _) => stream,
            (None, Some(tag)) => stream_of(tag).map_err(CodecError::Name)?,
            (None, None) => return Err(DraftError::NoStream { event_type }),
        };
        Ok(NewEvent { id: EventId::new(), stream, event_type: name, schema, tags, metadata, payload })
    }

    /// How the event's type reads it back; `None` where there is no event.
    pub(crate) fn reread(&self) -> Option<Reread> {
        self.0.as_ref().ok().map(|written| written.reread)
    }
}

impl Written {
    fn new<E: Event>(event: &E) -> Result<Self, CodecError> {
        let shape = event.shape();
        let mut written = Self {
            event_type: shape.event_type,
            name: shape.name()?,
            schema: shape.schema,
            stream: None,
            tags: Vec::new(),
            metadata: Metadata::default(),
            payload: event.encode()?,
            reread: reread::<E>,
        };
        event.tags()?.into_iter().for_each(|tag| written.tag(tag));
        Ok(written)
    }

    /// Adds a tag, unless it is there.
    fn tag(&mut self, tag: Tag) {
        if !self.tags.contains(&tag) {
            self.tags.push(tag);
        }
    }
}

fn stream_of(tag: &Tag) -> Result<StreamName, NameError> {
    StreamName::new(format!("{}-{}", tag.key(), tag.value()))
}

fn reread<E: Event>(event: &NewEvent) -> Result<Option<Payload>, CodecError> {
    E::decode(event.event_type.as_str(), event.schema, &event.payload)?.map(|event| event.encode()).transpose()
}

/// Why a draft is no event to append.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DraftError {
    #[error(transparent)]
    Codec(#[from] CodecError),
    #[error("{event_type} has no tag, so it has no stream: tag it, or name one with `Draft::to`")]
    NoStream { event_type: &'static str },
}

impl<E> From<DraftError> for DecideError<E> {
    fn from(error: DraftError) -> Self {
        match error {
            DraftError::Codec(CodecError::Name(error)) => Self::Name(error),
            DraftError::Codec(error) => Self::Codec(error),
            DraftError::NoStream { event_type } => Self::NoStream { event_type },
        }
    }
}
