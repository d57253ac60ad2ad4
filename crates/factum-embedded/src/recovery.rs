//! Recovery: what a folder holds, and what a crash may have left of the last frames.

use std::sync::Arc;

use factum::{StoreError, StoreErrorKind};
use uuid::Uuid;

use crate::disk::Disk;
use crate::error::{corrupt, io_error};
use crate::format::{FrameHeader, HeaderError, SegmentHeader};
use crate::head::{HEAD, Head};
use crate::index::{Active, Resume, Run, Seed, Source, write_active};
use crate::indexer::open;
use crate::scan::{Place, scan, witness};
use crate::segment::{Segment, file_name, file_number};

/// How far a folder is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Until {
    /// To the last valid frame: nobody is writing.
    End,
    /// To what another process says is durable.
    Head(Head),
}

/// What a folder holds.
pub(crate) struct Loaded {
    pub(crate) segments: Vec<Arc<Segment>>,
    pub(crate) runs: Vec<Arc<Run>>,
    pub(crate) active: Active,
    pub(crate) seed: Seed,
    /// The end of the log, in the last segment.
    pub(crate) place: Place,
    /// How long the last segment's file is.
    pub(crate) len: u64,
}

/// The files of a folder, by their kinds.
pub(crate) struct Listing {
    pub(crate) segments: Vec<u64>,
    pub(crate) runs: Vec<String>,
    pub(crate) temporary: Vec<String>,
}

impl Listing {
    /// Sorts the files of a folder; refuses a folder of something else.
    pub(crate) fn read(disk: &dyn Disk) -> Result<Self, StoreError> {
        let names = disk.list().map_err(|error| io_error("cannot list the folder", error))?;
        let mut listing = Self { segments: Vec::new(), runs: Vec::new(), temporary: Vec::new() };
        let mut foreign = None;
        let mut has_head = false;
        for name in names {
            match file_number(&name) {
                Some(number) => listing.segments.push(number),
                None if name.ends_with(".idx") => listing.runs.push(name),
                None if name.ends_with(".seg.tmp") || name.ends_with(".idx.tmp") => listing.temporary.push(name),
                None if name == HEAD => has_head = true,
                None if name == "LOCK" => {}
                None => foreign = Some(name),
            }
        }
        listing.segments.sort_unstable();
        let is_of_a_store = has_head || !listing.runs.is_empty();
        match foreign {
            _ if listing.segments.is_empty() && is_of_a_store => Err(corrupt(format!("{} is missing", file_name(0)))),
            Some(name) if listing.segments.is_empty() => {
                let message =
                    format!("the folder is no event store: it has a file {name}; name an empty folder, or one that is new");
                Err(StoreError::new(StoreErrorKind::Unsupported, message))
            }
            _ => Ok(listing),
        }
    }
}

/// Reads a folder that has segments.
pub(crate) fn load(disk: &dyn Disk, listing: &Listing, until: Until, flush_events: Option<u32>) -> Result<Loaded, StoreError> {
    let (segments, file_len) = open_segments(disk, listing, until)?;
    let len = match until {
        Until::Head(head) => head.end.min(file_len),
        Until::End => file_len,
    };
    let header = segments[0].header;
    let seed = Seed(header.seed);
    let mut runs = open_runs(disk, listing, header.log_id);
    let (resume, first) = match runs.last() {
        Some(run) => (run.resume(), run.last() + 1),
        None => (Resume { segment: header.number, checksum: header.salt, ..Resume::default() }, header.first_position),
    };
    let mut loading =
        Loading { disk, log_id: header.log_id, active: Active::new(first, seed, resume), seed, runs: &mut runs, flush_events };
    let place = loading.scan(&segments, resume, first, len)?;
    let active = loading.active;
    Ok(Loaded { segments, runs, active, seed, place, len })
}

/// Opens the segments, each joined to the one before; and the length of the last.
fn open_segments(disk: &dyn Disk, listing: &Listing, until: Until) -> Result<(Vec<Arc<Segment>>, u64), StoreError> {
    let mut segments: Vec<Arc<Segment>> = Vec::new();
    let mut len = 0;
    for &number in &listing.segments {
        if matches!(until, Until::Head(head) if head.segment < number) {
            break;
        }
        let (segment, file_len) = open_segment(disk, number)?;
        let header = &segment.header;
        if segments.is_empty() && number != 0 {
            return Err(corrupt(format!("{} is missing", file_name(0))));
        }
        if let Some(previous) = segments.last() {
            let joins = previous.header.number + 1 == number
                && previous.header.log_id == header.log_id
                && previous.header.first_position <= header.first_position;
            if !joins {
                return Err(corrupt(format!(
                    "{} does not follow {}: a segment is missing or of another log",
                    segment.name(),
                    previous.name()
                )));
            }
            if header.previous_len != len {
                let (name, previous_len) = (previous.name(), header.previous_len);
                return Err(corrupt(format!("{name} has {len} bytes, where {previous_len} were written")));
            }
            previous.publish(len);
        }
        len = file_len;
        segments.push(Arc::new(segment));
    }
    if segments.is_empty() {
        return Err(StoreError::new(StoreErrorKind::NotFound, "there is no event store in the folder; check the path"));
    }
    Ok((segments, len))
}

/// Opens a segment and reads its header; also how long its file is.
pub(crate) fn open_segment(disk: &dyn Disk, number: u64) -> Result<(Segment, u64), StoreError> {
    let name = file_name(number);
    let failed = |error| io_error(format!("cannot read {name}"), error);
    let file = disk.open(&name).map_err(failed)?;
    let len = file.len().map_err(failed)?;
    let mut bytes = vec![0; SegmentHeader::BYTES.min(len as usize)];
    file.read_at(&mut bytes, 0).map_err(failed)?;
    let header = SegmentHeader::decode(&bytes).map_err(|error| header_error(&name, error))?;
    if header.number != number {
        return Err(corrupt(format!("{name} is the segment of number {}: files were renamed", header.number)));
    }
    Ok((Segment::new(header, file, len), len))
}

fn header_error(name: &str, error: HeaderError) -> StoreError {
    match error {
        HeaderError::Foreign => {
            let message = format!("{name} is no segment of an event store; check the path, or restore the file from a backup");
            StoreError::new(StoreErrorKind::Unsupported, message)
        }
        HeaderError::Newer { format } => {
            let message = format!("{name} has format {format}, which is newer than this program; run a newer one");
            StoreError::new(StoreErrorKind::Unsupported, message)
        }
        HeaderError::Damaged => corrupt(format!("the header of {name} is damaged")),
    }
}

/// The runs that cover the log from its beginning on without a gap. What they don't cover is scanned again.
fn open_runs(disk: &dyn Disk, listing: &Listing, log_id: Uuid) -> Vec<Arc<Run>> {
    let opened = listing.runs.iter().filter_map(|name| Run::open(name, disk.map(name).ok()?));
    let mut found: Vec<Run> = opened.filter(|run| run.log_id() == log_id && 0 < run.events()).collect();
    // A merged run comes before the runs that went into it.
    found.sort_by_key(|run| (run.first(), std::cmp::Reverse(run.events())));
    let mut runs: Vec<Arc<Run>> = Vec::new();
    for run in found {
        let next = runs.last().map_or(1, |last| last.last() + 1);
        if run.first() == next {
            runs.push(Arc::new(run));
        }
    }
    runs
}

/// The index, while what is not in the runs is scanned.
struct Loading<'a> {
    disk: &'a dyn Disk,
    log_id: Uuid,
    active: Active,
    seed: Seed,
    runs: &'a mut Vec<Arc<Run>>,
    /// After this many events of sealed segments a run is written.
    flush_events: Option<u32>,
}

impl Loading<'_> {
    /// Scans from where the runs end; returns the end of the log.
    fn scan(
        &mut self,
        segments: &[Arc<Segment>],
        resume: Resume,
        first_position: u64,
        last_len: u64,
    ) -> Result<Place, StoreError> {
        // A run is written when all of its events are durable.
        let beyond = || {
            let (first, last) = (segments[0].name(), segments[segments.len() - 1].name());
            corrupt(format!("{first} to {last} end before event {}, which was durable when it was indexed", first_position - 1))
        };
        let from = segments.iter().position(|segment| segment.header.number == resume.segment).ok_or_else(beyond)?;
        let mut place = resumed(&segments[from], resume, first_position).ok_or_else(beyond)?;
        for (n, segment) in segments.iter().enumerate().skip(from) {
            let is_last = n + 1 == segments.len();
            if from < n {
                place = Place::start(&segment.header, place.time_us);
            }
            let len = if is_last { last_len } else { segment.end() };
            if len < place.offset {
                return Err(beyond());
            }
            let reached = self.segment(segment, len, place, is_last)?;
            let next = segments.get(n + 1).map(|next| next.header.first_position);
            if next.is_some_and(|first| reached.offset != len || reached.position != first) {
                return Err(corrupt(format!("{} is damaged at byte {}", segment.name(), reached.offset)));
            }
            place = Place { synced_to: reached.synced_to.max(place.synced_to), ..reached };
        }
        Ok(place)
    }

    fn segment(&mut self, segment: &Segment, len: u64, place: Place, is_last: bool) -> Result<Place, StoreError> {
        let name = segment.name();
        scan(segment, len, place, |offset, frame, after| {
            let added = self.active.add_frame(self.seed, segment.header.number, offset, frame);
            added.ok_or_else(|| Failure::Store(corrupt(format!("{name} is damaged at byte {offset}"))))?;
            if !is_last && self.flush_events.is_some_and(|events| events <= self.active.events()) {
                self.flush(after.position)?;
            }
            Ok(())
        })
        .map_err(|failure| match failure {
            Failure::Store(error) => error,
            Failure::Io(error) => io_error(format!("cannot read {}", segment.name()), error),
        })
    }

    fn flush(&mut self, next: u64) -> Result<(), Failure> {
        let full = std::mem::replace(&mut self.active, Active::new(next, self.seed, Resume::default()));
        self.active.set_resume(full.resume());
        let name = write_active(self.disk, self.log_id, &full)?;
        self.runs.push(open(self.disk, &name)?);
        Ok(())
    }
}

enum Failure {
    Io(std::io::Error),
    Store(StoreError),
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::Io(error)
    }
}

/// The place after the runs, if the segment has the frame that they end with.
fn resumed(segment: &Segment, resume: Resume, position: u64) -> Option<Place> {
    if resume.frame == 0 {
        let start = Place::start(&segment.header, resume.time_us);
        return (resume.end == 0 || resume.end == start.offset).then_some(start);
    }
    let mut bytes = [0; FrameHeader::BYTES];
    segment.file.read_at(&mut bytes, resume.frame).ok()?;
    let frame = FrameHeader::decode(&bytes, segment.header.salt)?;
    let is_it = frame.checksum == resume.checksum
        && resume.frame + frame.frame_len() as u64 == resume.end
        && frame.first_position.checked_add(u64::from(frame.events)) == Some(position);
    let Resume { end: offset, frame, checksum, time_us, .. } = resume;
    is_it.then_some(Place { offset, frame, checksum, position, synced_to: offset, time_us })
}

impl Loaded {
    /// The segment that the log ends in.
    pub(crate) fn last_segment(&self) -> &Segment {
        &self.segments[self.segments.len() - 1]
    }

    /// Refuses a folder in which something that was durable once is not valid any more. What else is not valid may be torn.
    pub(crate) fn check(&self, disk: &dyn Disk) -> Result<(), StoreError> {
        let (segment, end) = (self.last_segment(), self.place.offset);
        let (name, number) = (segment.name(), segment.header.number);
        let damaged =
            |at: u64| corrupt(format!("{name} is damaged at byte {end}: what was durable up to byte {at} is not all there"));
        if let Some(head) = Head::of(disk, segment.header.log_id) {
            if number < head.segment {
                return Err(corrupt(format!("{} is missing", file_name(head.segment))));
            }
            if number == head.segment && end < head.end {
                return Err(damaged(head.end));
            }
        }
        let witness = witness(segment, self.len, end, self.place.position);
        match witness.map_err(|error| io_error(format!("cannot read {name}"), error))? {
            Some(at) => Err(damaged(at)),
            None => Ok(()),
        }
    }

    /// Removes what a crash left after the last valid frame, and makes durable what is before it.
    pub(crate) fn mend(&self, disk: &dyn Disk) -> Result<(), StoreError> {
        self.check(disk)?;
        let (segment, end) = (self.last_segment(), self.place.offset);
        let failed = |error| io_error(format!("cannot mend {}", segment.name()), error);
        let head = Head::of(disk, segment.header.log_id).filter(|head| head.segment == segment.header.number);
        let synced_to = head.map_or(0, |head| head.end).max(self.place.synced_to).min(end);
        if end < self.len {
            segment.file.set_len(end).map_err(failed)?;
        }
        // After a failed sync the system may show bytes that are not on disk: they are written once more.
        let mut tail = vec![0; (end - synced_to) as usize];
        segment.file.read_at(&mut tail, synced_to).map_err(failed)?;
        if !tail.is_empty() {
            segment.file.write_at(&tail, synced_to).map_err(failed)?;
        }
        if !tail.is_empty() || end < self.len {
            segment.file.sync().map_err(failed)?;
        }
        // A process that was killed may have left the segment under a name that is not durable: appends to it would be lost.
        disk.sync_names().map_err(failed)?;
        segment.publish(end);
        Ok(())
    }
}
