//! What few events have: another schema or content type than the usual, and metadata.

use factum::{ContentType, EventId, Metadata, NewEvent, Timestamp};
use uuid::Uuid;

use super::Fields;

/// A byte of flags, then, for each that is set, its field. A text is its length in 4 bytes, then itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Details {
    pub(crate) schema: u32,
    pub(crate) content_type: ContentType,
    pub(crate) metadata: Metadata,
}

const SCHEMA: u8 = 1;
const CONTENT_TYPE: u8 = 2;
const ACTOR: u8 = 4;
const CORRELATION: u8 = 8;
const CAUSATION: u8 = 16;
const TRACEPARENT: u8 = 32;
const OCCURRED: u8 = 64;
const HEADERS: u8 = 128;

impl Default for Details {
    fn default() -> Self {
        Self { schema: 1, content_type: ContentType::json(), metadata: Metadata::default() }
    }
}

impl Details {
    /// Writes the details of an event, their length before them; nothing, and `false`, where they are the usual ones.
    pub(crate) fn encode(event: &NewEvent, into: &mut Vec<u8>) -> bool {
        let (metadata, content_type) = (&event.metadata, &event.payload.content_type);
        if event.schema == 1 && content_type.is_json() && *metadata == Metadata::default() {
            return false;
        }
        let start = into.len();
        into.extend_from_slice(&[0; 5]);
        let mut flags = 0;
        if event.schema != 1 {
            flags |= SCHEMA;
            into.extend_from_slice(&event.schema.to_le_bytes());
        }
        if !content_type.is_json() {
            flags |= CONTENT_TYPE;
            put_text(into, content_type.as_str());
        }
        flags |= encode_metadata(metadata, into);
        into[start + 4] = flags;
        let len = (into.len() - start - 4) as u32;
        into[start..start + 4].copy_from_slice(&len.to_le_bytes());
        true
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader(bytes);
        let flags = reader.take(1)?[0];
        let has = |flag: u8| flags & flag != 0;
        let schema = if has(SCHEMA) { reader.take(4)?.u32_at(0) } else { 1 };
        let content_type = if has(CONTENT_TYPE) { ContentType::new(reader.text()?).ok()? } else { ContentType::json() };
        let metadata = Metadata {
            actor: if has(ACTOR) { Some(reader.text()?) } else { None },
            correlation_id: if has(CORRELATION) { Some(reader.text()?) } else { None },
            causation_id: if has(CAUSATION) { Some(EventId::from(Uuid::from_slice(reader.take(16)?).ok()?)) } else { None },
            traceparent: if has(TRACEPARENT) { Some(reader.text()?) } else { None },
            occurred_at: if has(OCCURRED) { Some(Timestamp::from_micros(reader.take(8)?.u64_at(0).cast_signed())) } else { None },
            headers: if has(HEADERS) { reader.headers()? } else { Default::default() },
        };
        Some(Self { schema, content_type, metadata })
    }
}

fn encode_metadata(metadata: &Metadata, into: &mut Vec<u8>) -> u8 {
    let mut flags = 0;
    let mut text = |flag: u8, text: &Option<String>, into: &mut Vec<u8>| {
        if let Some(text) = text {
            flags |= flag;
            put_text(into, text);
        }
    };
    text(ACTOR, &metadata.actor, into);
    text(CORRELATION, &metadata.correlation_id, into);
    let causation = metadata.causation_id;
    if let Some(id) = causation {
        into.extend_from_slice(id.uuid().as_bytes());
    }
    text(TRACEPARENT, &metadata.traceparent, into);
    flags |= if causation.is_some() { CAUSATION } else { 0 };
    if let Some(time) = metadata.occurred_at {
        flags |= OCCURRED;
        into.extend_from_slice(&time.as_micros().to_le_bytes());
    }
    if !metadata.headers.is_empty() {
        flags |= HEADERS;
        into.extend_from_slice(&(metadata.headers.len() as u32).to_le_bytes());
        for (name, value) in &metadata.headers {
            put_text(into, name);
            put_text(into, value);
        }
    }
    flags
}

fn put_text(into: &mut Vec<u8>, text: &str) {
    into.extend_from_slice(&(text.len() as u32).to_le_bytes());
    into.extend_from_slice(text.as_bytes());
}

/// What is left to read.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(taken)
    }

    fn text(&mut self) -> Option<String> {
        let len = self.take(4)?.u32_at(0) as usize;
        String::from_utf8(self.take(len)?.to_vec()).ok()
    }

    fn headers(&mut self) -> Option<std::collections::BTreeMap<String, String>> {
        let count = self.take(4)?.u32_at(0);
        (0..count).map(|_| Some((self.text()?, self.text()?))).collect()
    }
}
