//! A frame: one append, whole or not there.

use super::{ALIGN, Fields, Record, put};

/// ```text
/// offset  bytes  field
///      0      4  magic "FCT1"
///      4      4  CRC-32C of bytes 8..40, begun with the salt
///      8      4  length of the body, in bytes
///     12      2  events
///     14      2  flags: 1 = a mark follows the events
///     16      8  position of the first event; of the next one to come where there is none
///     24      8  offset in the segment up to which everything was synced before this frame was written
///     32      4  CRC-32C of the checksums of the records, one after the other, begun with the salt
///     36      4  bytes 4..8 of the frame before; the salt in the first
///     40      n  body: the records
/// ```
/// The header's checksum lets the length be trusted before the body is read. The link to the frame before, and the salt, make a
/// frame unreadable that is left over from before a crash. Without events and mark it is a *witness*: it only says what was
/// synced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FrameHeader {
    pub(crate) checksum: u32,
    pub(crate) body_len: u32,
    pub(crate) events: u16,
    pub(crate) flags: u16,
    pub(crate) first_position: u64,
    pub(crate) synced_to: u64,
    pub(crate) body_checksum: u32,
    pub(crate) previous: u32,
}

const MAGIC: &[u8; 4] = b"FCT1";
const MARKED: u16 = 1;

impl FrameHeader {
    pub(crate) const BYTES: usize = 40;

    /// Writes the header of a frame and sets its checksum.
    pub(crate) fn encode(&mut self, bytes: &mut [u8], salt: u32) {
        put(bytes, 0, MAGIC);
        put(bytes, 8, &self.body_len.to_le_bytes());
        put(bytes, 12, &self.events.to_le_bytes());
        put(bytes, 14, &self.flags.to_le_bytes());
        put(bytes, 16, &self.first_position.to_le_bytes());
        put(bytes, 24, &self.synced_to.to_le_bytes());
        put(bytes, 32, &self.body_checksum.to_le_bytes());
        put(bytes, 36, &self.previous.to_le_bytes());
        self.checksum = crc32c::crc32c_append(salt, &bytes[8..Self::BYTES]);
        put(bytes, 4, &self.checksum.to_le_bytes());
    }

    /// The header that the bytes begin with, if they begin with one.
    pub(crate) fn decode(bytes: &[u8], salt: u32) -> Option<Self> {
        if bytes.len() < Self::BYTES || &bytes[..4] != MAGIC {
            return None;
        }
        let checksum = bytes.u32_at(4);
        if checksum != crc32c::crc32c_append(salt, &bytes[8..Self::BYTES]) {
            return None;
        }
        let header = Self {
            checksum,
            body_len: bytes.u32_at(8),
            events: bytes.u16_at(12),
            flags: bytes.u16_at(14),
            first_position: bytes.u64_at(16),
            synced_to: bytes.u64_at(24),
            body_checksum: bytes.u32_at(32),
            previous: bytes.u32_at(36),
        };
        (header.body_len as usize).is_multiple_of(ALIGN).then_some(header)
    }

    /// The flags of a frame.
    pub(crate) fn flags(marked: bool) -> u16 {
        if marked { MARKED } else { 0 }
    }

    /// Whether a mark follows the events.
    pub(crate) fn is_marked(&self) -> bool {
        self.flags & MARKED != 0
    }

    /// The frame's length, in bytes.
    pub(crate) fn frame_len(&self) -> usize {
        Self::BYTES + self.body_len as usize
    }
}

/// A frame whose every checksum is right.
pub(crate) struct Frame<'a> {
    pub(crate) header: FrameHeader,
    /// The records, the mark last, each with its offset in the frame.
    pub(crate) records: Vec<(usize, Record<'a>)>,
}

impl<'a> Frame<'a> {
    /// The frame of this header; `bytes` begin with the header. `None` where its body is not what the header says.
    pub(crate) fn decode(header: FrameHeader, bytes: &'a [u8], salt: u32) -> Option<Self> {
        let bytes = bytes.get(..header.frame_len())?;
        let count = usize::from(header.events) + usize::from(header.is_marked());
        let mut records = Vec::with_capacity(count);
        let mut checksum = salt;
        let mut at = FrameHeader::BYTES;
        // A position that is beyond all numbers is none that was ever given.
        header.first_position.checked_add(count as u64)?;
        for ordinal in 0..count {
            let record = Record::decode(bytes.get(at..)?, salt, header.first_position + ordinal as u64)?;
            if record.header.is_mark() != (ordinal == usize::from(header.events)) {
                return None;
            }
            checksum = crc32c::crc32c_append(checksum, &record.header.checksum.to_le_bytes());
            records.push((at, record));
            at += record.header.padded_len();
        }
        (at == bytes.len() && checksum == header.body_checksum).then_some(Self { header, records })
    }

    /// The events, each with its offset in the frame.
    pub(crate) fn events(&self) -> &[(usize, Record<'a>)] {
        &self.records[..usize::from(self.header.events)]
    }

    /// The mark of what was consumed: who, and through where.
    pub(crate) fn mark(&self) -> Option<(&'a str, u64)> {
        let (_, record) = self.records.get(usize::from(self.header.events))?;
        Some((record.stream(), record.header.version))
    }
}
