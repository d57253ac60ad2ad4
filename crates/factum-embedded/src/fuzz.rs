//! What the fuzz targets reach inside: the decoders, fed with any bytes. A panic is what they look for.

use bytes::Bytes;
use factum::{Direction, NewEvent, Position, RecordedEvent};

use crate::format::{Fields, Frame, FrameHeader, Record, SegmentHeader, array, put};
use crate::head::Head;
use crate::index::{EventTerms, Run, Seed, Source};

/// Bytes as a segment's header, as the file `HEAD`, and as a frame: as they are, then with right checksums.
pub fn frame(bytes: &[u8]) {
    let _ = SegmentHeader::decode(bytes);
    if let Some(head) = bytes.first_chunk() {
        let _ = Head::decode(head);
    }
    let Some((salt, frame)) = bytes.split_first_chunk() else { return };
    let salt = u32::from_le_bytes(*salt);
    decode(frame, salt);
    let mut frame = frame.to_vec();
    if FrameHeader::BYTES <= frame.len() {
        make_valid(&mut frame, salt);
        decode(&frame, salt);
    }
}

/// Sets every checksum of a frame, and its length.
fn make_valid(frame: &mut Vec<u8>, salt: u32) {
    frame.truncate(FrameHeader::BYTES + (frame.len() - FrameHeader::BYTES) / 8 * 8);
    let mut header = FrameHeader {
        checksum: 0,
        body_len: (frame.len() - FrameHeader::BYTES) as u32,
        events: frame.u16_at(12),
        flags: frame.u16_at(14),
        first_position: frame.u64_at(16),
        synced_to: frame.u64_at(24),
        body_checksum: salt,
        previous: frame.u32_at(36),
    };
    let mut at = FrameHeader::BYTES;
    let mut position = header.first_position;
    while at + 48 <= frame.len() {
        let record = &mut frame[at..];
        let len = Record::encoded_len(record);
        if len < 48 || record.len() < len {
            break;
        }
        let (version, time_us) = (record.u64_at(8), record.u64_at(16).cast_signed());
        let checksum = Record::seal(record, salt, position, version, time_us);
        header.body_checksum = crc32c::crc32c_append(header.body_checksum, &checksum.to_le_bytes());
        position = position.wrapping_add(1);
        at += len;
    }
    header.encode(frame, salt);
}

fn decode(bytes: &[u8], salt: u32) {
    let Some(header) = FrameHeader::decode(bytes, salt) else { return };
    let bytes = Bytes::copy_from_slice(bytes);
    let Some(frame) = Frame::decode(header, &bytes, salt) else { return };
    let _ = frame.mark();
    for ((_, record), ordinal) in frame.events().iter().zip(0..) {
        let _ = EventTerms::of_record(Seed(1), record);
        let Some(position) = header.first_position.checked_add(ordinal) else { return };
        if let Some(event) = record.event(&bytes, Position::new(position)) {
            check_round_trip(&event, salt);
        }
    }
}

/// An event that was decoded is the same when it is encoded and decoded again.
fn check_round_trip(event: &RecordedEvent, salt: u32) {
    let RecordedEvent { id, stream, event_type, schema, tags, metadata, payload, .. } = event.clone();
    let new = NewEvent { id, stream, event_type, schema, tags, metadata, payload };
    let mut bytes = Vec::new();
    Record::encode(&new, &mut bytes);
    Record::seal(&mut bytes, salt, event.position.get(), event.version.get(), event.recorded_at.as_micros());
    let bytes = Bytes::from(bytes);
    let again = Record::decode(&bytes, salt, event.position.get()).and_then(|record| record.event(&bytes, event.position));
    assert_eq!(again.as_ref(), Some(event));
}

/// Bytes as an index run: as they are, then with the right checksum of its header.
pub fn index(bytes: &[u8]) {
    look_up(bytes.to_vec());
    let mut bytes = bytes.to_vec();
    if RUN_HEADER_BYTES <= bytes.len() {
        let at = RUN_HEADER_BYTES - 4;
        let checksum = crc32c::crc32c(&bytes[..at]);
        put(&mut bytes, at, &checksum.to_le_bytes());
        look_up(bytes);
    }
}

/// The length of a run's header, whose last four bytes are its checksum.
const RUN_HEADER_BYTES: usize = 256;
/// The most terms, events and ordinals that a run is asked for.
const ASKED: u32 = 1_000;

fn look_up(bytes: Vec<u8>) {
    let terms: Vec<u128> = bytes.chunks_exact(16).map(|bytes| u128::from_le_bytes(array(bytes, 0))).collect();
    let Some(run) = Run::open("any", bytes.into()) else { return };
    let _ = (run.verify(), run.mark("billing"), run.resume());
    for ordinal in 0..run.events().min(ASKED) {
        let _ = run.offset(ordinal);
    }
    for term in terms.into_iter().chain(run.terms().take(ASKED as usize)) {
        let _ = run.with_id(term, uuid::Uuid::from_u128(term));
        let Some(list) = run.list(term) else { continue };
        let _ = (list.first_version(), list.nth(0), list.nth(list.len() - 1), list.nth(list.len() / 2));
        for direction in [Direction::Forward, Direction::Backward] {
            let mut cursor = list.cursor(direction);
            let targets = [0, 1, run.events() / 2, u32::MAX];
            for n in 0..targets.len() {
                let n = if direction == Direction::Forward { n } else { targets.len() - 1 - n };
                let _ = cursor.seek(targets[n]);
            }
        }
    }
}
