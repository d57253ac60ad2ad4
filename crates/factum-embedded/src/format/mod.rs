//! The bytes on disk, little-endian and aligned to 8: encoding and decoding, without any reading or writing of files.
//!
//! A *segment* is a header, then frames. A *frame* is one append: a header, then records. A *record* is one event, or the mark
//! of what was consumed. Checksums are CRC-32C (RFC 3720), begun with the segment's salt.

mod details;
mod frame;
mod header;
mod record;

pub(crate) use frame::{Frame, FrameHeader};
pub(crate) use header::{HeaderError, SegmentHeader};
pub(crate) use record::Record;

/// What everything is aligned to, in bytes.
pub(crate) const ALIGN: usize = 8;

/// The next multiple of [`ALIGN`].
pub(crate) const fn aligned(len: usize) -> usize {
    len.next_multiple_of(ALIGN)
}

/// Reads fixed-size fields; the caller has checked that they are there.
pub(crate) trait Fields {
    fn u16_at(&self, at: usize) -> u16;
    fn u32_at(&self, at: usize) -> u32;
    fn u64_at(&self, at: usize) -> u64;
}

/// The `N` bytes at an offset.
pub(crate) fn array<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    *bytes[at..].first_chunk().expect("the caller checked the length")
}

impl Fields for [u8] {
    fn u16_at(&self, at: usize) -> u16 {
        u16::from_le_bytes(array(self, at))
    }

    fn u32_at(&self, at: usize) -> u32 {
        u32::from_le_bytes(array(self, at))
    }

    fn u64_at(&self, at: usize) -> u64 {
        u64::from_le_bytes(array(self, at))
    }
}

/// Overwrites bytes at an offset.
pub(crate) fn put(bytes: &mut [u8], at: usize, field: &[u8]) {
    bytes[at..at + field.len()].copy_from_slice(field);
}
