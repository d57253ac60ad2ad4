//! A follower: reads the log of a folder that another process may be writing to.

use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, RwLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use factum::{Position, StoreError, StoreErrorKind};

use crate::disk::Disk;
use crate::error::{corrupt, io_error};
use crate::head::Head;
use crate::index::{Index, Source, Sources, reading, writing};
use crate::log::Log;
use crate::recovery::{Listing, Loaded, Until, load, open_segment};
use crate::scan::{Place, scan};
use crate::segment::Segment;

/// How often it looks whether there is more.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// How long it waits for a writer that is just opening the store.
const WRITER_OPENS_WITHIN: Duration = Duration::from_secs(10);

/// A thread that keeps a log up to date until it is dropped.
pub(crate) struct Follower {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Follower {
    /// Reads a folder and goes on reading it.
    pub(crate) fn start(disk: Arc<dyn Disk>, index_events: u32) -> Result<(Arc<Log>, Self), StoreError> {
        let Loaded { segments, runs, active, seed, place, .. } = read(&*disk)?;
        let head = Position::new(place.position).previous();
        let log = Arc::new(Log::new(disk, segments, Index::new(seed, runs, active), head));
        let reload_step = index_events.saturating_mul(2);
        let mut following = Following { log: Arc::clone(&log), place, reload_events: reload_step, reload_step };
        let (stop, stopped) = channel();
        let follow = move || {
            while stopped.recv_timeout(LOOK_EVERY) == Err(RecvTimeoutError::Timeout) {
                // What cannot be read now is tried again; what is damaged is told to readers.
                let _ = following.look();
            }
        };
        let thread = std::thread::Builder::new().name("factum-follower".into()).spawn(follow);
        let thread = thread.map_err(|error| io_error("cannot start a thread", error))?;
        Ok((log, Self { stop: Some(stop), thread: Some(thread) }))
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.stop = None;
        // A follower that panicked has ended all the same.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// Reads a folder as far as a writer says that it is durable, or, where there is no writer, to the last valid frame.
fn read(disk: &dyn Disk) -> Result<Loaded, StoreError> {
    let patience = Instant::now() + WRITER_OPENS_WITHIN;
    loop {
        // The head first: what is listed afterwards has the segment that it names.
        let head = Head::read(disk);
        let listing = Listing::read(disk)?;
        let was_locked = is_locked(disk)?;
        let read = match was_locked {
            true => head.map(|head| read_to(disk, &listing, head)),
            false => Some(read_to_end(disk, &listing)),
        };
        match read {
            // It may be that a writer came, or went, in between.
            Some(Err(error)) if error.kind() != StoreErrorKind::Corrupt || is_settled(disk, head, was_locked)? => {
                return Err(error);
            }
            // Where a writer came in between, it may not have made durable yet what was read.
            Some(Ok(loaded)) if was_locked || !is_locked(disk)? => return Ok(loaded),
            Some(Err(error)) if patience < Instant::now() => return Err(error),
            None if patience < Instant::now() => {
                let message = "a writer is opening the store and has not said how far it is durable; try again later";
                return Err(StoreError::new(StoreErrorKind::Unavailable, message));
            }
            _ => std::thread::sleep(LOOK_EVERY),
        }
    }
}

/// Whether nobody has written to the folder since it was looked at.
fn is_settled(disk: &dyn Disk, head: Option<Head>, was_locked: bool) -> Result<bool, StoreError> {
    Ok(Head::read(disk) == head && is_locked(disk)? == was_locked)
}

fn is_locked(disk: &dyn Disk) -> Result<bool, StoreError> {
    disk.is_locked().map_err(|error| io_error("cannot see whether there is a writer", error))
}

fn read_to_end(disk: &dyn Disk, listing: &Listing) -> Result<Loaded, StoreError> {
    let loaded = load(disk, listing, Until::End, None)?;
    loaded.check(disk)?;
    loaded.last_segment().publish(loaded.place.offset);
    Ok(loaded)
}

fn read_to(disk: &dyn Disk, listing: &Listing, head: Head) -> Result<Loaded, StoreError> {
    let loaded = load(disk, listing, Until::Head(head), None)?;
    let segment = loaded.last_segment();
    if (segment.header.number, loaded.place.offset) != (head.segment, head.end) {
        return Err(corrupt(format!("{} is damaged at byte {}", segment.name(), loaded.place.offset)));
    }
    segment.publish(head.end);
    Ok(loaded)
}

/// The end of what was read so far.
struct Following {
    log: Arc<Log>,
    place: Place,
    /// With so many events indexed in memory, the writer is likely to have better indexes on disk.
    reload_events: u32,
    /// So many more, after each time.
    reload_step: u32,
}

impl Following {
    /// Reads on to where the writer says that the log is durable now.
    fn look(&mut self) -> Result<(), StoreError> {
        let Some(head) = Head::of(&*self.log.disk, self.log.id) else { return Ok(()) };
        if self.reload_events <= reading(self.log.index.sources().active()).events() {
            self.reload()?;
        }
        loop {
            let segments = self.log.segments();
            let segment = &segments[segments.len() - 1];
            let number = segment.header.number;
            if head.segment <= number {
                let is_new = head.segment == number && self.place.offset < head.end;
                return if is_new { self.read_on(segment, head.end) } else { Ok(()) };
            }
            let (next, len) = open_segment(&*self.log.disk, number + 1)?;
            self.read_on(segment, next.header.previous_len)?;
            self.place = Place::start(&next.header, self.place.time_us);
            next.publish(len.min(self.place.offset));
            self.log.add_segment(Arc::new(next));
        }
    }

    fn read_on(&mut self, segment: &Segment, to: u64) -> Result<(), StoreError> {
        let sources = self.log.index.sources();
        let seed = self.log.index.seed;
        let mut is_damaged = false;
        let place = &mut self.place;
        let scanned = scan(segment, to, *place, |offset, frame, after| {
            let added = writing(sources.active()).add_frame(seed, segment.header.number, offset, frame);
            is_damaged = added.is_none();
            // Frame by frame: what is indexed is not read again, whatever happens to the next one.
            *place = after;
            added.ok_or_else(|| std::io::Error::other("a record is damaged"))
        });
        if is_damaged || (scanned.is_ok() && place.offset != to) {
            let damage = corrupt(format!("{} is damaged at byte {}", segment.name(), place.offset));
            self.log.fail(damage.clone());
            return Err(damage);
        }
        segment.publish(place.offset);
        self.log.publish(Position::new(place.position).previous());
        scanned.map(drop).map_err(|error| io_error(format!("cannot read {}", segment.name()), error))
    }

    /// Takes over the indexes that the writer has written since.
    fn reload(&mut self) -> Result<(), StoreError> {
        let Loaded { segments, runs, active, place, .. } = read(&*self.log.disk)?;
        self.reload_events = active.events().saturating_add(self.reload_step);
        if place.position < self.place.position {
            return Ok(());
        }
        let actives = vec![Arc::new(RwLock::new(active))];
        self.log.replace_segments(segments);
        self.log.index.change(|sources| *sources = Sources { seed: sources.seed, runs, actives });
        self.place = place;
        self.log.publish(Position::new(place.position).previous());
        Ok(())
    }
}
