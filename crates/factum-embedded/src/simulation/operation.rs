//! What was done to a disk, in order.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;

/// A file, whatever its name: it keeps its number when it is renamed.
pub(super) type FileId = usize;

/// One operation of the log.
#[derive(Clone)]
pub(super) enum Operation {
    /// A file came to be.
    Create { name: Arc<str>, file: FileId },
    /// Bytes were written.
    Write { file: FileId, offset: u64, bytes: Bytes },
    /// The file was cut off or filled up.
    SetLen { file: FileId, len: u64 },
    /// The file got another name.
    Rename { file: FileId, from: Arc<str>, to: Arc<str> },
    /// The file lost its name.
    Remove { name: Arc<str>, file: FileId },
    /// What was written to the file became durable.
    Sync { file: FileId },
    /// What was written to the file may be durable or not, and the system has forgotten that it is not.
    SyncFailed { file: FileId },
    /// The names became durable.
    SyncNames,
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Create { name, file } => write!(f, "create {name} (file {file})"),
            Self::Write { file, offset, bytes } => write!(f, "write file {file}, {} bytes at {offset}", bytes.len()),
            Self::SetLen { file, len } => write!(f, "set length of file {file} to {len}"),
            Self::Rename { file, from, to } => write!(f, "rename {from} to {to} (file {file})"),
            Self::Remove { name, file } => write!(f, "remove {name} (file {file})"),
            Self::Sync { file } => write!(f, "sync file {file}"),
            Self::SyncFailed { file } => write!(f, "failed sync of file {file}"),
            Self::SyncNames => f.write_str("sync names"),
        }
    }
}
