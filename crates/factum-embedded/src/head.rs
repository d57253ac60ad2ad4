//! The file `HEAD`: how far the log is durable, for other processes and as a witness for recovery.
//!
//! ```text
//! offset  bytes  field
//!      0      8  magic "FACTHEA1"
//!      8     16  log id
//!     24      8  number of the last segment
//!     32      8  where its last durable frame ends, in bytes
//!     40      8  position of the last event
//!     48     12  reserved, 0
//!     60      4  CRC-32C of the bytes before
//! ```
//! It is written after the sync that it speaks of and never synced itself, so it may be older than the log but never newer.

use std::io;
use std::sync::Arc;

use uuid::Uuid;

use crate::disk::{Disk, DiskFile};
use crate::format::{Fields, array, put};

/// The name of the file.
pub(crate) const HEAD: &str = "HEAD";

const MAGIC: &[u8; 8] = b"FACTHEA1";
const BYTES: usize = 64;
const CHECKSUM: usize = BYTES - 4;

/// How far a log is durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) log_id: Uuid,
    pub(crate) segment: u64,
    pub(crate) end: u64,
    pub(crate) position: u64,
}

impl Head {
    pub(crate) fn encode(&self) -> [u8; BYTES] {
        let mut bytes = [0; BYTES];
        put(&mut bytes, 0, MAGIC);
        put(&mut bytes, 8, self.log_id.as_bytes());
        put(&mut bytes, 24, &self.segment.to_le_bytes());
        put(&mut bytes, 32, &self.end.to_le_bytes());
        put(&mut bytes, 40, &self.position.to_le_bytes());
        let checksum = crc32c::crc32c(&bytes[..CHECKSUM]);
        put(&mut bytes, CHECKSUM, &checksum.to_le_bytes());
        bytes
    }

    pub(crate) fn decode(bytes: &[u8; BYTES]) -> Option<Self> {
        let is_valid = &bytes[..8] == MAGIC && bytes.u32_at(CHECKSUM) == crc32c::crc32c(&bytes[..CHECKSUM]);
        is_valid.then(|| Self {
            log_id: Uuid::from_bytes(array(bytes, 8)),
            segment: bytes.u64_at(24),
            end: bytes.u64_at(32),
            position: bytes.u64_at(40),
        })
    }

    /// What the folder's file says; `None` where there is none, or it is damaged.
    pub(crate) fn read(disk: &dyn Disk) -> Option<Self> {
        let mut bytes = [0; BYTES];
        disk.open(HEAD).and_then(|file| file.read_at(&mut bytes, 0)).ok()?;
        Self::decode(&bytes)
    }

    /// What the folder's file says of this log.
    pub(crate) fn of(disk: &dyn Disk, log_id: Uuid) -> Option<Self> {
        Self::read(disk).filter(|head| head.log_id == log_id)
    }
}

/// The file, open to write.
#[derive(Debug)]
pub(crate) struct HeadFile(Arc<dyn DiskFile>);

impl HeadFile {
    pub(crate) fn create(disk: &dyn Disk) -> io::Result<Self> {
        disk.create(HEAD).map(Self)
    }

    /// Tells other processes how far the log is. A failure only makes it older than it could be.
    pub(crate) fn write(&self, head: Head) {
        let _ = self.0.write_at(&head.encode(), 0);
    }
}
