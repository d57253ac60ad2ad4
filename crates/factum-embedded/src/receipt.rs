//! A receipt: what commits to all of a log's history up to a position.

use std::fmt;
use std::str::FromStr;

use factum::{Position, StoreError};
use uuid::Uuid;

use crate::disk::DiskFile;
use crate::error::io_error;
use crate::log::Log;

/// The digest of a log up to a position. Kept outside, it shows any later change of the past: each segment's header holds the
/// digest of the segment before it, so the digest of the last one covers them all.
///
/// It is the BLAKE3 of the first [`bytes`](Self::bytes) of the segment's file: `head -c BYTES 00000042.seg | b3sum`. As text it
/// is one line, `factum-receipt:1:<log id>:<segment>:<bytes>:<position>:<digest>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Receipt {
    /// The log.
    pub log_id: Uuid,
    /// The number of the segment, from 0.
    pub segment: u64,
    /// How many of its bytes are covered.
    pub bytes: u64,
    /// The position of the last event that is covered.
    pub position: Position,
    /// BLAKE3 of those bytes.
    pub digest: [u8; 32],
}

const PREFIX: &str = "factum-receipt:1:";

/// How much is read at a time, in bytes.
const CHUNK_BYTES: usize = 1 << 20;

impl Receipt {
    /// The receipt of all that is published.
    pub(crate) fn of(log: &Log) -> Result<Self, StoreError> {
        // The head first, so that the segment's end, which is published before it, covers it.
        let position = log.head();
        let segments = log.segments();
        let segment = &segments[segments.len() - 1];
        let bytes = segment.end();
        let digest = digest(&*segment.file, bytes, |_| {});
        let digest = digest.map_err(|error| io_error(format!("cannot read {}", segment.name()), error))?;
        Ok(Self { log_id: log.id, segment: segment.header.number, bytes, position, digest })
    }
}

/// BLAKE3 of the first `len` bytes of a file; `progress` hears how many more were read.
pub(crate) fn digest(file: &dyn DiskFile, len: u64, mut progress: impl FnMut(u64)) -> std::io::Result<[u8; 32]> {
    let mut hasher = blake3::Hasher::new();
    let mut chunk = vec![0; CHUNK_BYTES];
    let mut at = 0;
    while at < len {
        let bytes = &mut chunk[..CHUNK_BYTES.min((len - at) as usize)];
        file.read_at(bytes, at)?;
        hasher.update(bytes);
        at += bytes.len() as u64;
        progress(bytes.len() as u64);
    }
    Ok(hasher.finalize().into())
}

impl fmt::Display for Receipt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { log_id, segment, bytes, position, digest } = self;
        let digest = blake3::Hash::from_bytes(*digest).to_hex();
        write!(f, "{PREFIX}{log_id}:{segment}:{bytes}:{position}:{digest}")
    }
}

/// A text that is no receipt.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no receipt: it must be one whole line that begins with {PREFIX}")]
pub struct ReceiptError {
    text: String,
}

impl FromStr for Receipt {
    type Err = ReceiptError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        parse(text.trim()).ok_or_else(|| ReceiptError { text: text.to_owned() })
    }
}

fn parse(text: &str) -> Option<Receipt> {
    let mut fields = text.strip_prefix(PREFIX)?.split(':');
    let receipt = Receipt {
        log_id: fields.next()?.parse().ok()?,
        segment: fields.next()?.parse().ok()?,
        bytes: fields.next()?.parse().ok()?,
        position: Position::new(fields.next()?.parse().ok()?),
        digest: *blake3::Hash::from_hex(fields.next()?).ok()?.as_bytes(),
    };
    fields.next().is_none().then_some(receipt)
}
