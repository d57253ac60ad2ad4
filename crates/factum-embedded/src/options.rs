//! Opening a store.

use std::io;
use std::path::Path;
use std::sync::Arc;

use factum::{Clock, Position, StoreError, StoreErrorKind, SystemClock};
use uuid::Uuid;

use crate::disk::{Disk, DiskLock};
use crate::error::io_error;
use crate::folder::Folder;
use crate::format::SegmentHeader;
use crate::head::HeadFile;
use crate::index::Index;
use crate::indexer::{IndexWork, Indexer};
use crate::log::Log;
use crate::queue::Queue;
use crate::recovery::{Listing, Loaded, Until, load};
use crate::segment::Segment;
use crate::store::EmbeddedStore;
use crate::tail::{Tail, random_salt};
use crate::writer::{Pace, Writer};

/// How a store is opened. The defaults suit a server; tests make everything small.
#[derive(Clone)]
pub struct Options {
    clock: Arc<dyn Clock>,
    segment_bytes: u64,
    fill_bytes: u64,
    index_events: u32,
    indexes_beside: bool,
}

/// A run has room for twice as many.
const INDEX_EVENTS_MAX: u32 = 1 << 24;

/// The index counts offsets in a segment in units of 8 bytes, in 32 bits: this leaves room for one more append of any size.
const SEGMENT_BYTES_MAX: u64 = 16 << 30;

impl Default for Options {
    fn default() -> Self {
        Self {
            clock: Arc::new(SystemClock),
            segment_bytes: 256 << 20,
            fill_bytes: 1 << 20,
            // Just below seven eighths of a power of two, where a hash map doubles.
            index_events: 7 << 14,
            indexes_beside: true,
        }
    }
}

impl Options {
    /// Goes by another clock.
    #[must_use]
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Begins a new segment file before one gets longer than this, in bytes: 256 MiB by default, 16 GiB at most. An append is
    /// never split.
    #[must_use]
    pub fn segment_bytes(mut self, bytes: u64) -> Self {
        self.segment_bytes = bytes.min(SEGMENT_BYTES_MAX);
        self
    }

    /// Fills a segment with zeros this far ahead of small appends, in bytes. 1 MiB by default.
    #[must_use]
    pub fn fill_bytes(mut self, bytes: u64) -> Self {
        self.fill_bytes = bytes;
        self
    }

    /// Keeps the index of so many of the newest events in memory before it is written to disk. 114,688 by default.
    #[must_use]
    pub fn index_events(mut self, events: u32) -> Self {
        self.index_events = events.clamp(1, INDEX_EVENTS_MAX);
        self
    }

    /// Writes the index in the writer's own time instead of beside it: slower, and the same each time.
    #[must_use]
    pub fn index_inline(mut self) -> Self {
        self.indexes_beside = false;
        self
    }

    /// Opens the store of a folder to write and read; creates the folder and the store where there is none.
    ///
    /// It reads what was not indexed when the store was last closed, and mends what a crash left: see [`EmbeddedStore`].
    ///
    /// # Errors
    /// `Locked` while another process has it open to write, `Corrupt` where something that was durable is damaged, `Unsupported`
    /// where it is newer than this program or something else, `ReadOnly`, `Full` or `Unavailable` where the disk refuses.
    pub fn open(&self, path: impl AsRef<Path>) -> Result<EmbeddedStore, StoreError> {
        let path = path.as_ref();
        let folder = Folder::create(path).map_err(|error| io_error(format!("cannot create {}", path.display()), error))?;
        self.open_on(Arc::new(folder)).map_err(|error| at(path, &error))
    }

    /// Opens the store of a folder to read, beside a process that writes to it or after it. Nothing in the folder changes.
    ///
    /// # Errors
    /// `NotFound` where there is no store, and as [`open`](Self::open), but for `Locked`.
    pub fn open_read_only(&self, path: impl AsRef<Path>) -> Result<EmbeddedStore, StoreError> {
        let path = path.as_ref();
        let folder = Folder::read_only(path);
        EmbeddedStore::read_only(Arc::new(folder), self.index_events).map_err(|error| at(path, &error))
    }

    /// Opens the store on any disk.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_on(&self, disk: Arc<dyn Disk>) -> Result<EmbeddedStore, StoreError> {
        // A folder of something else is left as it is, without so much as a lock.
        Listing::read(&*disk)?;
        let lock = disk.lock().map_err(|error| match error.kind() {
            io::ErrorKind::WouldBlock => {
                let message = "another process has the store open to write; end it, or open the store to read only";
                StoreError::new(StoreErrorKind::Locked, message)
            }
            _ => io_error("cannot lock the store", error),
        })?;
        let mut listing = Listing::read(&*disk)?;
        if listing.segments.is_empty() {
            self.create(&*disk)?;
            listing = Listing::read(&*disk)?;
        }
        let loaded = load(&*disk, &listing, Until::End, Some(self.index_events))?;
        loaded.mend(&*disk)?;
        clean_up(&*disk, &listing, &loaded)?;
        self.start(disk, loaded, lock).map_err(|error| io_error("cannot open the store", error))
    }

    /// Creates the first segment.
    fn create(&self, disk: &dyn Disk) -> Result<(), StoreError> {
        let header = SegmentHeader {
            log_id: Uuid::new_v4(),
            number: 0,
            first_position: 1,
            salt: random_salt(),
            created_us: self.clock.now().as_micros(),
            previous_digest: [0; 32],
            previous_len: 0,
            seed: Uuid::new_v4().as_u64_pair().1,
        };
        Segment::create(disk, header).map(drop).map_err(|error| io_error("cannot create the store", error))
    }

    /// Starts the threads of a store.
    fn start(&self, disk: Arc<dyn Disk>, loaded: Loaded, lock: Box<dyn DiskLock>) -> io::Result<EmbeddedStore> {
        let Loaded { segments, runs, active, seed, place, .. } = loaded;
        let segment = Arc::clone(&segments[segments.len() - 1]);
        let last = Position::new(place.position).previous();
        let head_file = HeadFile::create(&*disk)?;
        let index = Index::new(seed, runs, active);
        let log = Arc::new(Log::new(Arc::clone(&disk), segments, index, last));
        let queue = Arc::new(Queue::new());
        let index_work = match self.indexes_beside {
            true => IndexWork::beside(Arc::clone(&log))?,
            false => IndexWork::Inline(Indexer::new(Arc::clone(&log))),
        };
        let writer = Writer {
            log: Arc::clone(&log),
            queue: Arc::clone(&queue),
            tail: Tail::new(disk, segment, place, self.fill_bytes),
            head_file,
            index_work,
            clock: Arc::clone(&self.clock),
            last,
            time_us: place.time_us,
            segment_bytes: self.segment_bytes,
            index_events: self.index_events,
            pace: Pace::default(),
            is_poisoned: false,
        };
        writer.write_head();
        let thread = std::thread::Builder::new().name("factum-writer".into()).spawn(move || writer.run())?;
        Ok(EmbeddedStore::writing(log, queue, thread, lock))
    }
}

/// Removes what was never finished, and indexes that others cover.
fn clean_up(disk: &dyn Disk, listing: &Listing, loaded: &Loaded) -> Result<(), StoreError> {
    let is_used = |name: &String| loaded.runs.iter().any(|run| run.name() == name);
    for name in listing.temporary.iter().chain(listing.runs.iter().filter(|name| !is_used(name))) {
        match disk.remove(name) {
            // Recovery wrote an index under the temporary name of one that was never finished, and gave it its own.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            removed => removed.map_err(|error| io_error(format!("cannot remove {name}, which is of no use any more"), error))?,
        }
    }
    Ok(())
}

/// A failure with the folder that it is about.
fn at(path: &Path, error: &StoreError) -> StoreError {
    StoreError::new(error.kind(), format!("cannot open the store in {}", path.display())).caused_by(error.clone())
}
