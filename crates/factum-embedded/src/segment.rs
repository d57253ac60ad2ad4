//! A segment: a file of the log, open.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::disk::{Disk, DiskFile};
use crate::format::SegmentHeader;

/// A segment's file. The last one of a log is written to; the others never change.
pub(crate) struct Segment {
    pub(crate) header: SegmentHeader,
    pub(crate) file: Arc<dyn DiskFile>,
    /// Where the last published frame ends, in bytes.
    end: AtomicU64,
}

impl Segment {
    pub(crate) fn new(header: SegmentHeader, file: Arc<dyn DiskFile>, end: u64) -> Self {
        Self { header, file, end: AtomicU64::new(end) }
    }

    /// Creates the file with its header, durable under its name; not a byte of it is to be seen before.
    pub(crate) fn create(disk: &dyn Disk, header: SegmentHeader) -> io::Result<Self> {
        let name = file_name(header.number);
        let temporary = format!("{name}.tmp");
        let file = disk.create(&temporary)?;
        file.write_at(&header.encode(), 0)?;
        file.sync()?;
        // From here on a failure leaves unknown whether there is such a segment, even where it is a full disk's.
        disk.rename(&temporary, &name).and_then(|()| disk.sync_names()).map_err(io::Error::other)?;
        Ok(Self::new(header, file, SegmentHeader::BYTES as u64))
    }

    pub(crate) fn end(&self) -> u64 {
        self.end.load(Ordering::Acquire)
    }

    pub(crate) fn publish(&self, end: u64) {
        self.end.store(end, Ordering::Release);
    }

    /// The name of the segment's file.
    pub(crate) fn name(&self) -> String {
        file_name(self.header.number)
    }
}

impl fmt::Debug for Segment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}..{}", self.name(), self.end())
    }
}

/// The name of a segment's file.
pub(crate) fn file_name(number: u64) -> String {
    format!("{number:08}.seg")
}

/// The number in the name of a segment's file.
pub(crate) fn file_number(name: &str) -> Option<u64> {
    let number = name.strip_suffix(".seg")?.parse().ok()?;
    (file_name(number) == name).then_some(number)
}
