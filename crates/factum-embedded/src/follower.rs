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
        let mut following = Following { log: Arc::clone(&log), place, reload_events: index_events.saturating_mul(2) };
        let (stop, stopped) = channel();
        let follow = move || {
            while stopped.recv_timeout(LOOK_EVERY) == Err(RecvTimeoutError::Timeout) {
                match following.look() {
                    Err(error) if error.kind() == StoreErrorKind::Corrupt => return following.log.fail(error),
                    // What cannot be read now is tried again; the head stays where it is.
                    _ => {}
                }
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
        let read = match is_locked(disk)? {
            true => head.map(|head| read_to(disk, &listing, head)),
            false => Some(read_to_end(disk, &listing)),
        };
        match read {
            // It may be that a writer came, or went, in between.
            Some(Err(error)) if error.kind() != StoreErrorKind::Corrupt || !is_locked(disk)? => return Err(error),
            Some(Ok(loaded)) => return Ok(loaded),
            Some(Err(error)) if patience < Instant::now() => return Err(error),
            None if patience < Instant::now() => {
                let message = "a writer is opening the store and has not said how far it is durable; try again later";
                return Err(StoreError::new(StoreErrorKind::Unavailable, message));
            }
            _ => std::thread::sleep(LOOK_EVERY),
        }
    }
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
    /// With so many events indexed in memory, the writer has better indexes on disk.
    reload_events: u32,
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
        let reached = scan(segment, to, self.place, |offset, frame, _| {
            let added = writing(sources.active()).add_frame(seed, segment.header.number, offset, frame);
            added.ok_or_else(|| std::io::Error::other("a record is damaged"))
        });
        self.place = reached.map_err(|error| io_error(format!("cannot read {}", segment.name()), error))?;
        if self.place.offset != to {
            return Err(corrupt(format!("{} is damaged at byte {}", segment.name(), self.place.offset)));
        }
        segment.publish(self.place.offset);
        self.log.publish(Position::new(self.place.position).previous());
        Ok(())
    }

    /// Takes over the indexes that the writer has written since.
    fn reload(&mut self) -> Result<(), StoreError> {
        let Loaded { segments, runs, active, place, .. } = read(&*self.log.disk)?;
        let actives = vec![Arc::new(RwLock::new(active))];
        self.log.replace_segments(segments);
        self.log.index.change(|sources| *sources = Sources { seed: sources.seed, runs, actives });
        self.place = place;
        self.log.publish(Position::new(place.position).previous());
        Ok(())
    }
}
