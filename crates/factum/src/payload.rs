//! A payload: an event's data, and what kind of data it is.

use bytes::Bytes;

use crate::name::name;

name! {
    /// A media type (RFC 6838), such as `application/json`.
    ContentType, "a content type", 256
}

/// The content type of a payload that names none.
const JSON: &str = "application/json";

impl ContentType {
    /// `application/json`.
    pub const fn json() -> Self {
        Self(bytestring::ByteString::from_static(JSON))
    }

    /// Whether it is `application/json`.
    pub fn is_json(&self) -> bool {
        self.as_str() == JSON
    }
}

/// Any bytes, none of them included, with their content type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payload {
    /// What the bytes are.
    pub content_type: ContentType,
    /// The bytes; at most [`limits::EVENT_BYTES_MAX`](crate::limits::EVENT_BYTES_MAX) of them.
    pub data: Bytes,
}

impl Payload {
    /// A payload that is JSON.
    pub fn json(data: impl Into<Bytes>) -> Self {
        Self { content_type: ContentType::json(), data: data.into() }
    }
}
