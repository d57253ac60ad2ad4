//! Typed events to bytes and back.

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{ContentType, EventType, NameError, Payload, RecordedEvent, Tag};

/// `#[derive(Event)]`, an event in a few lines:
///
/// ```
/// use factum::{Event, Payload};
/// use serde::Deserialize;
///
/// #[derive(Debug, PartialEq, Event)]
/// #[event(prefix = "Account")] // stored as AccountOpened, AccountWithdrawn, account-closed
/// enum AccountEvent {
///     Opened {
///         #[event(tag)]
///         owner: String,
///     },
///     #[event(version = 3, upcast(1 = WithdrawnV1, 2 = WithdrawnV2))]
///     Withdrawn { cents: u64, fee: u64 },
///     #[event(name = "account-closed")]
///     Closed,
/// }
///
/// // The first version counted in whole euros, the second had no fee.
/// #[derive(Deserialize)]
/// struct WithdrawnV1 {
///     euros: u64,
/// }
/// #[derive(Deserialize)]
/// struct WithdrawnV2 {
///     cents: u64,
/// }
/// impl From<WithdrawnV1> for WithdrawnV2 {
///     fn from(WithdrawnV1 { euros }: WithdrawnV1) -> Self {
///         Self { cents: euros * 100 }
///     }
/// }
/// impl From<WithdrawnV2> for AccountEvent {
///     fn from(WithdrawnV2 { cents }: WithdrawnV2) -> Self {
///         Self::Withdrawn { cents, fee: 0 }
///     }
/// }
///
/// let opened = AccountEvent::Opened { owner: "ann".to_owned() };
/// assert_eq!(opened.shape().event_type, "AccountOpened");
/// assert_eq!(opened.encode()?, Payload::json(r#"{"owner":"ann"}"#));
/// assert_eq!(opened.tags()?[0].as_str(), "owner:ann");
///
/// let old = AccountEvent::decode("AccountWithdrawn", 1, &Payload::json(r#"{"euros":3}"#))?;
/// assert_eq!(old, Some(AccountEvent::Withdrawn { cents: 300, fee: 0 }));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub use factum_derive::Event;

/// A typed event: an enum with a variant for each kind of event, or a struct that is one kind. See `#[derive(Event)]`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an event",
    label = "this type cannot be stored",
    note = "derive it: `#[derive(factum::Event)]`"
)]
pub trait Event: Sized + Send + Sync + 'static {
    /// Every event type of this Rust type, with its current schema.
    const SHAPES: &'static [Shape];

    /// The event's type and current schema.
    fn shape(&self) -> Shape;

    /// The event's tags.
    ///
    /// # Errors
    /// [`NameError`] where a field's value makes no tag.
    fn tags(&self) -> Result<Vec<Tag>, NameError>;

    /// The event's data, in its current schema.
    ///
    /// # Errors
    /// [`CodecError`] where the data cannot be written.
    fn encode(&self) -> Result<Payload, CodecError>;

    /// The event that was stored as this event type, of this schema, with this payload; older schemas are upcast.
    /// `None` where this Rust type has no such event type.
    ///
    /// # Errors
    /// [`CodecError`] where the event type is one of [`Self::SHAPES`] but the data cannot be read.
    fn decode(event_type: &str, schema: u32, payload: &Payload) -> Result<Option<Self>, CodecError>;
}

/// The stored name of a kind of event, and the version of its shape.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Shape {
    /// The name, as [`EventType`] has it.
    pub event_type: &'static str,
    /// The version of the shape, counted from 1.
    pub schema: u32,
}

/// How the data of events is written.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a codec",
    label = "this type writes no data of events",
    note = "implement `factum::Codec` for it; an event that names no codec is written as JSON"
)]
pub trait Codec {
    /// The content type of what it writes.
    fn content_type() -> ContentType;

    /// Writes a value.
    ///
    /// # Errors
    /// Whatever the format says.
    fn encode<T: Serialize>(value: &T) -> Result<Bytes, CodecSource>;

    /// Reads a value.
    ///
    /// # Errors
    /// Whatever the format says.
    fn decode<T: DeserializeOwned>(data: &[u8]) -> Result<T, CodecSource>;
}

/// What a format says of data that it cannot write or read.
pub type CodecSource = Box<dyn std::error::Error + Send + Sync>;

/// JSON (RFC 8259), the codec of events that name no other.
#[derive(Debug, Clone, Copy)]
pub struct Json;

impl Codec for Json {
    fn content_type() -> ContentType {
        ContentType::json()
    }

    fn encode<T: Serialize>(value: &T) -> Result<Bytes, CodecSource> {
        Ok(serde_json::to_vec(value)?.into())
    }

    fn decode<T: DeserializeOwned>(data: &[u8]) -> Result<T, CodecSource> {
        Ok(serde_json::from_slice(data)?)
    }
}

/// Why an event is not written, or a stored one not read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CodecError {
    /// The event's data cannot be written.
    #[error("cannot write {event_type} (schema {schema})")]
    Encode {
        /// The event's type.
        event_type: &'static str,
        /// Its schema.
        schema: u32,
        /// Why.
        source: CodecSource,
    },
    /// The stored data is not of its schema's shape.
    #[error("cannot read {event_type} (schema {schema}): its data is not of that shape")]
    Decode {
        /// The event's type.
        event_type: &'static str,
        /// Its schema.
        schema: u32,
        /// Why.
        source: CodecSource,
    },
    /// The stored data is in another format.
    #[error("cannot read {event_type}: it is stored as {actual}, and this program reads {expected}")]
    ContentType {
        /// The event's type.
        event_type: &'static str,
        /// What this program reads.
        expected: ContentType,
        /// What is stored.
        actual: ContentType,
    },
    /// The schema is one that this program does not know.
    #[error("cannot read {event_type} (schema {schema}): this program knows schemas up to {known}; run a newer build of it")]
    UnknownSchema {
        /// The event's type.
        event_type: &'static str,
        /// What is stored.
        schema: u32,
        /// The newest schema that this program knows.
        known: u32,
    },
    /// The event's type or one of its tags is no name.
    #[error(transparent)]
    Name(#[from] NameError),
}

impl RecordedEvent {
    /// The typed event; `None` where `E` has no such event type: the recorded event is then all there is to know.
    ///
    /// # Errors
    /// [`CodecError`] where `E` has the event type but cannot read the data.
    pub fn decode<E: Event>(&self) -> Result<Option<E>, CodecError> {
        E::decode(self.event_type.as_str(), self.schema, &self.payload)
    }
}

impl Shape {
    /// The event type, as a name.
    ///
    /// # Errors
    /// [`NameError`] where it is none; `#[derive(Event)]` lets no such name compile.
    pub fn name(self) -> Result<EventType, NameError> {
        EventType::new(bytestring::ByteString::from_static(self.event_type))
    }
}
