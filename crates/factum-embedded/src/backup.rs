//! A backup: a copy of a live log, as it was at one moment.

use std::path::Path;

use factum::{Position, StoreError, StoreErrorKind};

use crate::disk::{Disk, DiskFile};
use crate::error::io_error;
use crate::folder::Folder;
use crate::head::{HEAD, Head};
use crate::log::Log;

/// What was copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backup {
    /// How many segment files.
    pub segments: u64,
    /// Their bytes.
    pub bytes: u64,
    /// The position of the last event.
    pub head: Position,
}

/// How much is copied at a time, in bytes.
const CHUNK_BYTES: usize = 1 << 20;

pub(crate) fn backup(log: &Log, to: &Path) -> Result<Backup, StoreError> {
    let failed = |error| io_error(format!("cannot write the backup to {}", to.display()), error);
    let folder = Folder::create(to).map_err(failed)?;
    if !folder.list().map_err(failed)?.is_empty() {
        let message = format!("cannot write the backup to {}: the folder has files; name a new one", to.display());
        return Err(StoreError::new(StoreErrorKind::Invalid, message));
    }
    // The runs first: the segments that are looked at afterwards cover them. The head before the segments' ends, likewise.
    let runs = log.index.sources().runs.clone();
    let head = log.head();
    let segments = log.segments();
    // The file that says how far the copy goes comes first: a copy that is cut short is found to be.
    let ends: Vec<u64> = segments.iter().map(|segment| segment.end()).collect();
    let (last, end) = (&segments[segments.len() - 1], ends[ends.len() - 1]);
    let witness = Head { log_id: log.id, segment: last.header.number, end, position: head.get() };
    let file = folder.create(HEAD).map_err(failed)?;
    file.write_at(&witness.encode(), 0).and_then(|()| file.sync()).and_then(|()| folder.sync_names()).map_err(failed)?;
    for (segment, end) in segments.iter().zip(&ends) {
        let copy = folder.create(&segment.name()).map_err(failed)?;
        copy_file(&*segment.file, &*copy, *end).map_err(failed)?;
    }
    for run in runs {
        let copy = folder.create(run.name()).map_err(failed)?;
        copy.write_at(run.bytes(), 0).and_then(|()| copy.sync()).map_err(failed)?;
    }
    folder.sync_names().map_err(failed)?;
    Ok(Backup { segments: segments.len() as u64, bytes: ends.iter().sum(), head })
}

fn copy_file(from: &dyn DiskFile, to: &dyn DiskFile, len: u64) -> std::io::Result<()> {
    let mut chunk = vec![0; CHUNK_BYTES];
    let mut at = 0;
    while at < len {
        let bytes = &mut chunk[..CHUNK_BYTES.min((len - at) as usize)];
        from.read_at(bytes, at)?;
        to.write_at(bytes, at)?;
        at += bytes.len() as u64;
    }
    to.sync()
}
