//! A record: one event, or the mark of what was consumed.

use bytes::Bytes;
use bytestring::ByteString;
use factum::{EventId, EventType, NewEvent, Payload, Position, RecordedEvent, StreamName, Tag, Timestamp, Version};
use uuid::Uuid;

use super::details::Details;
use super::{Fields, aligned, array, put};

/// ```text
/// offset  bytes  field
///      0      4  CRC-32C of all bytes after this field, padding included, begun with the salt plus the low half of the position
///      4      4  length of the record in bytes, without the padding to the next multiple of 8
///      8      8  version of the event in its stream; of a mark, through where
///     16      8  time of recording, µs since 1970
///     24      2  length of the stream's name; of a mark, of the consumer's
///     26      2  length of the tags
///     28      1  length of the event type, less one
///     29      1  flags: 1 = details, 2 = a mark
///     30      2  reserved, 0
///     32     16  event id
///     48      n  stream, event type, tags (each its length less one in a byte, then its text),
///                details (their length in 4 bytes, then they themselves), data
/// ```
/// The position is not stored, yet a record that is read as that of another position does not pass.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RecordHeader {
    pub(crate) len: u32,
    pub(crate) checksum: u32,
    pub(crate) version: u64,
    pub(crate) time_us: i64,
    stream_len: u16,
    tags_len: u16,
    type_len: u16,
    flags: u8,
    pub(crate) id: Uuid,
}

const CHECKSUM: usize = 0;
const LEN: usize = 4;
const DETAILED: u8 = 1;
const MARK: u8 = 2;

impl RecordHeader {
    pub(crate) const BYTES: usize = 48;

    /// The length with the padding.
    pub(crate) fn padded_len(&self) -> usize {
        aligned(self.len as usize)
    }

    pub(crate) fn is_mark(&self) -> bool {
        self.flags & MARK != 0
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let bytes = bytes.get(..Self::BYTES)?;
        Some(Self {
            len: bytes.u32_at(LEN),
            checksum: bytes.u32_at(CHECKSUM),
            version: bytes.u64_at(8),
            time_us: bytes.u64_at(16).cast_signed(),
            stream_len: bytes.u16_at(24),
            tags_len: bytes.u16_at(26),
            type_len: u16::from(bytes[28]) + 1,
            flags: bytes[29],
            id: Uuid::from_bytes(array(bytes, 32)),
        })
    }
}

fn checksum(bytes: &[u8], salt: u32, position: u64) -> u32 {
    crc32c::crc32c_append(salt.wrapping_add(position as u32), &bytes[LEN..])
}

/// A record whose checksum is right.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Record<'a> {
    pub(crate) header: RecordHeader,
    bytes: &'a [u8],
}

impl<'a> Record<'a> {
    /// The record that the bytes begin with, if it is the one of this position and whole.
    pub(crate) fn decode(bytes: &'a [u8], salt: u32, position: u64) -> Option<Self> {
        let header = RecordHeader::decode(bytes).filter(|header| RecordHeader::BYTES <= header.len as usize)?;
        let checksum = checksum(bytes.get(..header.padded_len())?, salt, position);
        let record = Self { header, bytes: &bytes[..header.len as usize] };
        (record.data_at()? <= record.bytes.len() && header.checksum == checksum).then_some(record)
    }

    /// Writes an event's record, padding included; what [`seal`](Self::seal) sets is left open.
    pub(crate) fn encode(event: &NewEvent, into: &mut Vec<u8>) {
        let start = into.len();
        into.extend_from_slice(&[0; RecordHeader::BYTES]);
        into.extend_from_slice(event.stream.as_str().as_bytes());
        into.extend_from_slice(event.event_type.as_str().as_bytes());
        let tags_at = into.len();
        for tag in &event.tags {
            into.push((tag.as_str().len() - 1) as u8);
            into.extend_from_slice(tag.as_str().as_bytes());
        }
        let tags_len = into.len() - tags_at;
        let detailed = Details::encode(event, into);
        into.extend_from_slice(&event.payload.data);
        let header = &mut into[start..];
        put(header, 24, &(event.stream.as_str().len() as u16).to_le_bytes());
        put(header, 26, &(tags_len as u16).to_le_bytes());
        header[28] = (event.event_type.as_str().len() - 1) as u8;
        header[29] = if detailed { DETAILED } else { 0 };
        put(header, 32, event.id.uuid().as_bytes());
        Self::finish(into, start);
    }

    /// Writes a mark's record; what [`seal`](Self::seal) sets is left open.
    pub(crate) fn encode_mark(consumer: &str, into: &mut Vec<u8>) {
        let start = into.len();
        into.extend_from_slice(&[0; RecordHeader::BYTES]);
        into.extend_from_slice(consumer.as_bytes());
        // The event type of a mark: one byte, the shortest there is.
        into.push(b'-');
        put(&mut into[start..], 24, &(consumer.len() as u16).to_le_bytes());
        into[start + 29] = MARK;
        Self::finish(into, start);
    }

    fn finish(into: &mut Vec<u8>, start: usize) {
        let len = into.len() - start;
        put(&mut into[start..], LEN, &(len as u32).to_le_bytes());
        into.resize(start + aligned(len), 0);
    }

    /// Sets what is known only when the record is appended, and its checksum, which is returned.
    pub(crate) fn seal(bytes: &mut [u8], salt: u32, position: u64, version: u64, time_us: i64) -> u32 {
        let len = Self::encoded_len(bytes);
        put(bytes, 8, &version.to_le_bytes());
        put(bytes, 16, &time_us.to_le_bytes());
        let checksum = checksum(&bytes[..len], salt, position);
        put(bytes, CHECKSUM, &checksum.to_le_bytes());
        checksum
    }

    /// The length, with the padding, of the record that was encoded at the beginning of the bytes.
    pub(crate) fn encoded_len(bytes: &[u8]) -> usize {
        aligned(bytes.u32_at(LEN) as usize)
    }

    fn type_at(&self) -> usize {
        RecordHeader::BYTES + usize::from(self.header.stream_len)
    }

    fn tags_at(&self) -> usize {
        self.type_at() + usize::from(self.header.type_len)
    }

    fn details_at(&self) -> usize {
        self.tags_at() + usize::from(self.header.tags_len)
    }

    /// `None` where the length of the details is beyond the record.
    fn data_at(&self) -> Option<usize> {
        let at = self.details_at();
        if self.header.flags & DETAILED == 0 {
            return Some(at);
        }
        let len = self.bytes.get(at..at + 4)?.u32_at(0) as usize;
        Some(at + 4 + len)
    }

    fn text(&self, from: usize, to: usize) -> &'a str {
        // What is not UTF-8 is refused where the event is decoded; a checksum that is right leaves that to a program's error.
        std::str::from_utf8(&self.bytes[from..to]).unwrap_or_default()
    }

    /// The stream's name; of a mark, the consumer's.
    pub(crate) fn stream(&self) -> &'a str {
        self.text(RecordHeader::BYTES, self.type_at())
    }

    pub(crate) fn event_type(&self) -> &'a str {
        self.text(self.type_at(), self.tags_at())
    }

    pub(crate) fn tags(&self) -> impl Iterator<Item = &'a str> {
        let (mut at, end, record) = (self.tags_at(), self.details_at(), *self);
        std::iter::from_fn(move || {
            (at < end).then(|| {
                let from = at + 1;
                at = (from + usize::from(record.bytes[at]) + 1).min(end);
                record.text(from, at)
            })
        })
    }

    /// What few events have; `None` where it is damaged.
    pub(crate) fn details(&self) -> Option<Details> {
        if self.header.flags & DETAILED == 0 {
            return Some(Details::default());
        }
        Details::decode(&self.bytes[self.details_at() + 4..self.data_at()?])
    }

    /// The event, its names and data being slices of `bytes`, which the record was decoded from. `None` where a text is none.
    pub(crate) fn event(&self, bytes: &Bytes, position: Position) -> Option<RecordedEvent> {
        let text = |from: usize, to: usize| ByteString::try_from(bytes.slice_ref(&self.bytes[from..to])).ok();
        let mut tags = Vec::new();
        let mut at = self.tags_at();
        while at < self.details_at() {
            let from = at + 1;
            at = from + usize::from(self.bytes[at]) + 1;
            tags.push(Tag::new(text(from, at.min(self.details_at()))?).ok()?);
        }
        let Details { schema, content_type, metadata } = self.details()?;
        let data = bytes.slice_ref(&self.bytes[self.data_at()?..]);
        Some(RecordedEvent {
            position,
            version: Version::new(self.header.version),
            recorded_at: Timestamp::from_micros(self.header.time_us),
            id: EventId::from(self.header.id),
            stream: StreamName::new(text(RecordHeader::BYTES, self.type_at())?).ok()?,
            event_type: EventType::new(text(self.type_at(), self.tags_at())?).ok()?,
            schema,
            tags,
            metadata,
            payload: Payload { content_type, data },
        })
    }
}
