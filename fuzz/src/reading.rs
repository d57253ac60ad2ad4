//! Reading a segment: the frames that follow one another from its beginning, each with right checksums.

use super::{FRAME_HEADER, RECORD_HEADER, SEGMENT_HEADER, frame_checksum, record_checksum, u16_at, u32_at, u64_at};

/// What identifies an event.
#[derive(Debug, PartialEq, Eq)]
pub struct Event {
    pub position: u64,
    pub version: u64,
    pub id: [u8; 16],
}

/// The events of a segment.
pub fn events(segment: &[u8]) -> Vec<Event> {
    let mut events = Vec::new();
    if segment.len() < SEGMENT_HEADER {
        return events;
    }
    let salt = u32_at(segment, 48);
    let (mut at, mut previous, mut position) = (SEGMENT_HEADER, salt, u64_at(segment, 40));
    while let Some((len, checksum, found)) = frame(&segment[at..], salt, previous, position, at as u64) {
        (at, previous) = (at + len, checksum);
        position += found.len() as u64;
        events.extend(found);
    }
    events
}

/// A frame's length, checksum and events.
fn frame(bytes: &[u8], salt: u32, previous: u32, first: u64, offset: u64) -> Option<(usize, u32, Vec<Event>)> {
    let header = bytes.get(..FRAME_HEADER)?;
    let checksum = u32_at(header, 4);
    let follows = u32_at(header, 36) == previous && u64_at(header, 16) == first && u64_at(header, 24) <= offset;
    if &header[..4] != b"FCT1" || checksum != frame_checksum(header, salt) || !follows {
        return None;
    }
    let body = bytes.get(FRAME_HEADER..FRAME_HEADER + u32_at(header, 8) as usize)?;
    let count = u16_at(header, 12);
    let mut rest = body;
    let mut of_records = salt;
    let mut events = Vec::new();
    for ordinal in 0..u64::from(count) + u64::from(u16_at(header, 14) & 1) {
        if rest.len() < RECORD_HEADER || (u32_at(rest, 4) as usize) < RECORD_HEADER {
            return None;
        }
        let record = rest.get(..(u32_at(rest, 4) as usize).next_multiple_of(8))?;
        let (is, position) = (u32_at(record, 0), first + ordinal);
        if is != record_checksum(record, salt, position) {
            return None;
        }
        of_records = crc32c::crc32c_append(of_records, &is.to_le_bytes());
        if ordinal < u64::from(count) {
            let id = record[32..48].try_into().expect("sixteen bytes");
            events.push(Event { position, version: u64_at(record, 8), id });
        }
        rest = &rest[record.len()..];
    }
    (rest.is_empty() && of_records == u32_at(header, 32)).then_some((FRAME_HEADER + body.len(), checksum, events))
}
