//! What the engine's failures are to a caller.

use std::io;

use factum::{StoreError, StoreErrorKind};

/// A failure to read or write files, with what was being done.
pub(crate) fn io_error(what: impl Into<String>, error: io::Error) -> StoreError {
    let what = what.into();
    let (kind, advice) = match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => (StoreErrorKind::Full, "free some space and try again"),
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            (StoreErrorKind::ReadOnly, "give this user the right to write there, or open the store to read only")
        }
        io::ErrorKind::NotFound => (StoreErrorKind::NotFound, "check the path"),
        io::ErrorKind::UnexpectedEof => (StoreErrorKind::Corrupt, "a file is shorter than it must be: restore it from a backup"),
        _ => (StoreErrorKind::Unavailable, "look at the machine's log for failures of the disk"),
    };
    StoreError::new(kind, format!("{what}; {advice}")).caused_by(error)
}

/// Whether a read failed only because it would have had to wait for the disk.
pub(crate) fn would_wait(error: &StoreError) -> bool {
    let source = std::error::Error::source(error).and_then(|source| source.downcast_ref::<io::Error>());
    source.is_some_and(|source| source.kind() == io::ErrorKind::WouldBlock)
}

/// Damage, with where it is.
pub(crate) fn corrupt(what: impl Into<String>) -> StoreError {
    StoreError::new(StoreErrorKind::Corrupt, format!("{}; restore the file from a backup", what.into()))
}

/// The store was closed, here or by a failed write.
pub(crate) fn closed() -> StoreError {
    StoreError::new(StoreErrorKind::Closed, "the store is closed; open it again")
}
