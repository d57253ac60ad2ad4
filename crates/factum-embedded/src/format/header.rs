//! A segment's header: which log it is part of, and what came before it.

use uuid::Uuid;

use super::{Fields, array, put};

/// ```text
/// offset  bytes  field
///      0      8  magic "FACTSEG1"
///      8      4  format, 1
///     12      4  length of this header, 128
///     16     16  log id
///     32      8  number of the segment, from 0
///     40      8  position of its first event
///     48      4  salt, random: begins every checksum in the segment
///     52      4  reserved, 0
///     56      8  time of creation, µs since 1970
///     64     32  digest of the segment before: BLAKE3 of all its bytes; 0 in segment 0
///     96      8  length of the segment before, in bytes
///    104      8  seed of the log's term hashes, random
///    112     12  reserved, 0
///    124      4  CRC-32C of the bytes before
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SegmentHeader {
    pub(crate) log_id: Uuid,
    pub(crate) number: u64,
    pub(crate) first_position: u64,
    pub(crate) salt: u32,
    pub(crate) created_us: i64,
    pub(crate) previous_digest: [u8; 32],
    pub(crate) previous_len: u64,
    pub(crate) seed: u64,
}

/// Why bytes are no segment header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HeaderError {
    /// They begin as no segment does.
    Foreign,
    /// A newer format than this build knows.
    Newer { format: u32 },
    /// The checksum is wrong, or the bytes are too few.
    Damaged,
}

const MAGIC: &[u8; 8] = b"FACTSEG1";
const FORMAT: u32 = 1;
const CHECKSUM: usize = SegmentHeader::BYTES - 4;

impl SegmentHeader {
    pub(crate) const BYTES: usize = 128;

    pub(crate) fn encode(&self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        put(&mut bytes, 0, MAGIC);
        put(&mut bytes, 8, &FORMAT.to_le_bytes());
        put(&mut bytes, 12, &(Self::BYTES as u32).to_le_bytes());
        put(&mut bytes, 16, self.log_id.as_bytes());
        put(&mut bytes, 32, &self.number.to_le_bytes());
        put(&mut bytes, 40, &self.first_position.to_le_bytes());
        put(&mut bytes, 48, &self.salt.to_le_bytes());
        put(&mut bytes, 56, &self.created_us.to_le_bytes());
        put(&mut bytes, 64, &self.previous_digest);
        put(&mut bytes, 96, &self.previous_len.to_le_bytes());
        put(&mut bytes, 104, &self.seed.to_le_bytes());
        let checksum = crc32c::crc32c(&bytes[..CHECKSUM]);
        put(&mut bytes, CHECKSUM, &checksum.to_le_bytes());
        bytes
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, HeaderError> {
        if bytes.len() < 12 {
            return Err(HeaderError::Damaged);
        }
        if &bytes[..8] != MAGIC {
            return Err(HeaderError::Foreign);
        }
        let format = bytes.u32_at(8);
        if FORMAT < format {
            return Err(HeaderError::Newer { format });
        }
        if bytes.len() < Self::BYTES || bytes.u32_at(CHECKSUM) != crc32c::crc32c(&bytes[..CHECKSUM]) {
            return Err(HeaderError::Damaged);
        }
        Ok(Self {
            log_id: Uuid::from_bytes(array(bytes, 16)),
            number: bytes.u64_at(32),
            first_position: bytes.u64_at(40),
            salt: bytes.u32_at(48),
            created_us: bytes.u64_at(56).cast_signed(),
            previous_digest: array(bytes, 64),
            previous_len: bytes.u64_at(96),
            seed: bytes.u64_at(104),
        })
    }
}
