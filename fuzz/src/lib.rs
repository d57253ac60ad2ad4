//! Segments made from any bytes, and read by a second reading of the format: what the engine recovers is compared with it.

mod reading;
mod writing;

pub use reading::{Event, events};
pub use writing::segment;

/// The lengths of the headers of a segment, a frame and a record, in bytes.
const SEGMENT_HEADER: usize = 128;
const FRAME_HEADER: usize = 40;
const RECORD_HEADER: usize = 48;

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}

/// The checksum of a record at a position.
fn record_checksum(record: &[u8], salt: u32, position: u64) -> u32 {
    crc32c::crc32c_append(salt.wrapping_add(position as u32), &record[4..])
}

/// The checksum of a frame's header.
fn frame_checksum(header: &[u8], salt: u32) -> u32 {
    crc32c::crc32c_append(salt, &header[8..FRAME_HEADER])
}
