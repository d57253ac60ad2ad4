//! Verification: reads all of a log and checks everything that can be checked.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use factum::{Position, StoreError, StoreErrorKind};

use crate::disk::Disk;
use crate::error::{corrupt, io_error};
use crate::folder::Folder;
use crate::format::Frame;
use crate::log::Log;
use crate::receipt::{Receipt, digest};
use crate::scan::{Place, scan};
use crate::segment::Segment;
use crate::store::EmbeddedStore;

/// What was found to be right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verified {
    /// How many events there are.
    pub events: u64,
    /// How many segment files.
    pub segments: u64,
    /// Their bytes, without the room made ahead.
    pub bytes: u64,
    /// The receipt for all of it.
    pub receipt: Receipt,
}

/// Checks a folder's log, also while another process writes to it: every checksum, that frames and segments follow each other,
/// that positions and versions have no gaps and times never go back, each segment's digest against the header after it, the index
/// files; and, where there is a receipt, that the past is still what it says.
///
/// `progress` is told how many bytes are done, of how many.
///
/// # Errors
/// `Corrupt` with the place of the damage, or what the receipt does not agree with; else as
/// [`Options::open_read_only`](crate::Options::open_read_only).
pub fn verify(
    path: impl AsRef<Path>,
    receipt: Option<&Receipt>,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Verified, StoreError> {
    verify_on(Arc::new(Folder::read_only(path.as_ref())), receipt, progress)
}

/// [`verify`] on any disk.
///
/// # Errors
/// As [`verify`].
pub fn verify_on(
    disk: Arc<dyn Disk>,
    receipt: Option<&Receipt>,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Verified, StoreError> {
    let store = EmbeddedStore::read_only(disk, u32::MAX)?;
    let log = store.log();
    let (head, segments) = (log.head(), log.segments());
    let mut verification = Verification { log, receipt, versions: HashMap::new(), last_time_us: i64::MIN, head };
    let bytes = segments.iter().map(|segment| segment.end()).sum();
    let mut done = 0;
    let mut advance = |more: u64| {
        done += more;
        progress(done, bytes);
    };
    let mut last = None;
    for segment in segments.iter() {
        let digest = verification.segment(segment, last, &mut advance)?;
        last = Some((segment, digest));
    }
    verification.index()?;
    let (segment, digest) = last.expect("a log has a segment");
    let receipt = Receipt { log_id: log.id, segment: segment.header.number, bytes: segment.end(), position: head, digest };
    verification.check_receipt_is_covered(&receipt)?;
    Ok(Verified { events: head.get(), segments: segments.len() as u64, bytes, receipt })
}

struct Verification<'a> {
    log: &'a Log,
    receipt: Option<&'a Receipt>,
    /// By the hash of its name: how many events a stream has had.
    versions: HashMap<u128, u64>,
    last_time_us: i64,
    head: Position,
}

impl Verification<'_> {
    /// Checks a segment and returns its digest.
    fn segment(
        &mut self,
        segment: &Segment,
        previous: Option<(&Arc<Segment>, [u8; 32])>,
        advance: &mut impl FnMut(u64),
    ) -> Result<[u8; 32], StoreError> {
        let name = segment.name();
        let failed = |error| io_error(format!("cannot read {name}"), error);
        if let Some((previous, digest)) = previous
            && segment.header.previous_digest != digest
        {
            return Err(corrupt(format!("{} is not what it was when {name} was begun: its digest differs", previous.name())));
        }
        let end = segment.end();
        let mut problem = None;
        let reached = scan(segment, end, Place::start(&segment.header, 0), |offset, frame, _| {
            problem = problem.take().or_else(|| self.frame(&name, offset, frame).err());
            Ok::<_, std::io::Error>(())
        });
        let reached = reached.map_err(failed)?;
        if let Some(problem) = problem {
            return Err(problem);
        }
        if reached.offset != end {
            return Err(corrupt(format!("{name} is damaged at byte {}", reached.offset)));
        }
        if let Some(receipt) = self.receipt.filter(|receipt| receipt.segment == segment.header.number) {
            self.check_receipt(receipt, segment)?;
        }
        digest(&*segment.file, end, advance).map_err(failed)
    }

    fn frame(&mut self, name: &str, offset: u64, frame: &Frame<'_>) -> Result<(), StoreError> {
        for (_, record) in frame.events() {
            let stream = self.log.index.seed.hash(crate::index::Term::Stream(record.stream()));
            let version = self.versions.entry(stream).or_default();
            *version += 1;
            if record.header.version != *version {
                let (stream, actual) = (record.stream(), record.header.version);
                return Err(corrupt(format!(
                    "{name}, byte {offset}: stream {stream} has version {actual} after {}",
                    *version - 1
                )));
            }
            if record.header.time_us < self.last_time_us {
                return Err(corrupt(format!("{name}, byte {offset}: the time goes back")));
            }
            self.last_time_us = record.header.time_us;
        }
        Ok(())
    }

    fn index(&self) -> Result<(), StoreError> {
        match self.log.index.sources().runs.iter().find(|run| !run.verify()) {
            Some(run) => {
                let message =
                    format!("the index file {} is damaged; delete it: it is made again when the store is opened", run.name());
                Err(StoreError::new(StoreErrorKind::Corrupt, message))
            }
            None => Ok(()),
        }
    }

    fn check_receipt(&self, receipt: &Receipt, segment: &Segment) -> Result<(), StoreError> {
        let name = segment.name();
        if segment.end() < receipt.bytes {
            return Err(changed(&format!("{name} has {} bytes, and the receipt is for {}", segment.end(), receipt.bytes)));
        }
        let actual =
            digest(&*segment.file, receipt.bytes, |_| {}).map_err(|error| io_error(format!("cannot read {name}"), error))?;
        match actual == receipt.digest {
            true => Ok(()),
            false => Err(changed(&format!("the digest of the first {} bytes of {name} differs", receipt.bytes))),
        }
    }

    fn check_receipt_is_covered(&self, own: &Receipt) -> Result<(), StoreError> {
        match self.receipt {
            Some(receipt) if receipt.log_id != own.log_id => {
                Err(changed(&format!("it is for log {}, and this is {}", receipt.log_id, own.log_id)))
            }
            Some(receipt) if own.segment < receipt.segment || self.head < receipt.position => {
                Err(changed(&format!("it is for {} events, and there are {}", receipt.position, self.head)))
            }
            _ => Ok(()),
        }
    }
}

fn changed(what: &str) -> StoreError {
    let message = format!("the log does not agree with the receipt: {what}; the past was changed, or this is another log");
    StoreError::new(StoreErrorKind::Corrupt, message)
}
