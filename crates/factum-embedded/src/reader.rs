//! Reading events: from places to pages.

use bytes::Bytes;
use factum::limits::PAGE_BYTES;
use factum::{Direction, Page, Position, Query, Range, Read, RecordedEvent, StoreError};

use crate::error::{corrupt, io_error};
use crate::format::Record;
use crate::index::{Place, Sources};
use crate::log::{Log, Segments, segment_of};
use crate::segment::Segment;

/// Records that are at most this far from each other are read in one go, in bytes.
const GAP_BYTES: u64 = 4 << 10;

/// Between a record and the next there may be frames without events, so one that seems longer than this is asked for its length.
const LONG_BYTES: u64 = 64 << 10;
/// The bytes of a record up to the end of its length.
const RECORD_LEN_END: usize = 8;

/// A log as it was at one moment.
pub(crate) struct View {
    /// Whether reads may wait for the disk.
    may_wait: bool,
    head: Position,
    segments: std::sync::Arc<Segments>,
    sources: std::sync::Arc<Sources>,
}

/// Where a record is: in which segment, from where to where at most.
#[derive(Debug, Clone, Copy)]
struct Extent {
    position: u64,
    segment: usize,
    from: u64,
    to: u64,
}

impl Extent {
    fn len(&self) -> u64 {
        self.to - self.from
    }
}

impl View {
    pub(crate) fn new(log: &Log) -> Result<Self, StoreError> {
        log.check_open()?;
        // The head first: what is looked at afterwards covers all that it publishes.
        let head = log.head();
        Ok(Self { may_wait: true, head, segments: log.segments(), sources: log.index.sources() })
    }

    /// The same, but whatever is not in memory fails: see [`would_wait`](crate::error::would_wait).
    pub(crate) fn cached(self) -> Self {
        Self { may_wait: false, ..self }
    }

    pub(crate) fn page(&self, read: &Read) -> Result<Page, StoreError> {
        let range = Range { after: read.range.after, through: read.range.through.min(self.head) };
        let limit = read.page_limit();
        let places = self.places(&read.query, range, read.direction, limit);
        let is_full = places.len() == limit;
        let extents = self.extents(&places)?;
        let is_cut = extents.len() < places.len();
        let rest = extents.last().filter(|_| is_full || is_cut).map(|last| {
            let last = Position::new(last.position);
            match read.direction {
                Direction::Forward => Range { after: last, through: read.range.through },
                Direction::Backward => Range { after: range.after, through: last.previous() },
            }
        });
        let rest = rest.filter(|rest| rest.after < rest.through.min(self.head));
        let mut events = self.fetch(extents)?;
        // Two ids may look alike to the index.
        events.retain(|event| read.query.selects(event));
        if read.direction == Direction::Backward {
            events.reverse();
        }
        Ok(Page { events, rest, head: self.head })
    }

    pub(crate) fn places(&self, query: &Query, range: Range, direction: Direction, limit: usize) -> Vec<Place> {
        self.sources.places(query, range, direction, limit)
    }

    /// The event at a place.
    pub(crate) fn event(&self, place: Place) -> Result<RecordedEvent, StoreError> {
        let extent = self.extent(place)?;
        let mut events = self.fetch(vec![extent])?;
        events.pop().ok_or_else(|| self.damage(&extent))
    }

    /// The event at a position, which is published.
    pub(crate) fn at(&self, position: u64) -> Result<RecordedEvent, StoreError> {
        let place = self.sources.place(position);
        self.event(place.ok_or_else(|| corrupt(format!("position {position} is not in the index")))?)
    }

    pub(crate) fn head(&self) -> Position {
        self.head
    }

    pub(crate) fn sources(&self) -> &Sources {
        &self.sources
    }

    /// As many extents as fit into a page, and one at least.
    fn extents(&self, places: &[Place]) -> Result<Vec<Extent>, StoreError> {
        let mut extents = Vec::with_capacity(places.len());
        let mut bytes = 0;
        for place in places {
            let extent = self.extent(*place)?;
            bytes += extent.len();
            extents.push(extent);
            if PAGE_BYTES as u64 <= bytes {
                break;
            }
        }
        Ok(extents)
    }

    /// A record ends at the latest where the next one begins, or where its segment ends.
    fn extent(&self, Place { position, offset, next }: Place) -> Result<Extent, StoreError> {
        let segment = segment_of(&self.segments, position);
        let is_last = self.segments.get(segment + 1).is_some_and(|next| next.header.first_position == position + 1);
        let next = match next {
            _ if is_last || self.head.get() <= position => None,
            Some(next) => Some(next),
            None => self.sources.place(position + 1).map(|place| place.offset),
        };
        let to = next.unwrap_or_else(|| self.segments[segment].end());
        let to = match to.checked_sub(offset) {
            Some(len) if LONG_BYTES < len => to.min(offset + self.record_len(&self.segments[segment], offset)?),
            _ => to,
        };
        let extent = Extent { position, segment, from: offset, to };
        if to <= offset { Err(self.damage(&extent)) } else { Ok(extent) }
    }

    /// The events of some extents, in the order of their positions.
    fn fetch(&self, mut extents: Vec<Extent>) -> Result<Vec<RecordedEvent>, StoreError> {
        if extents.first().zip(extents.last()).is_some_and(|(first, last)| last.position < first.position) {
            extents.reverse();
        }
        let is_near = |a: &Extent, b: &Extent| a.segment == b.segment && a.to <= b.from && b.from - a.to <= GAP_BYTES;
        let span = |near: &[Extent]| (near[near.len() - 1].to - near[0].from) as usize;
        // One buffer for all: each event holds on to it by a count, not by a copy.
        let mut buffer = vec![0; extents.chunk_by(is_near).map(span).sum()];
        let mut rest = &mut buffer[..];
        for near in extents.chunk_by(is_near) {
            let (bytes, after) = rest.split_at_mut(span(near));
            let segment = &self.segments[near[0].segment];
            self.read(segment, bytes, near[0].from)?;
            rest = after;
        }
        let buffer = Bytes::from(buffer);
        let mut events = Vec::with_capacity(extents.len());
        let mut start = 0;
        for near in extents.chunk_by(is_near) {
            for extent in near {
                let bytes = &buffer[start + (extent.from - near[0].from) as usize..][..extent.len() as usize];
                let event = decode(&self.segments[extent.segment], &buffer, bytes, extent.position);
                events.push(event.ok_or_else(|| self.damage(extent))?);
            }
            start += span(near);
        }
        Ok(events)
    }

    /// How long the record at an offset says that it is, in bytes.
    fn record_len(&self, segment: &Segment, offset: u64) -> Result<u64, StoreError> {
        let mut bytes = [0; RECORD_LEN_END];
        self.read(segment, &mut bytes, offset)?;
        Ok(Record::encoded_len(&bytes) as u64)
    }

    fn read(&self, segment: &Segment, bytes: &mut [u8], offset: u64) -> Result<(), StoreError> {
        let read = match self.may_wait {
            true => segment.file.read_at(bytes, offset),
            false => segment.file.read_cached_at(bytes, offset),
        };
        read.map_err(|error| io_error(format!("cannot read {}", segment.name()), error))
    }

    fn damage(&self, extent: &Extent) -> StoreError {
        let name = self.segments[extent.segment].name();
        corrupt(format!("the event at position {} is damaged, in {name} at byte {}", extent.position, extent.from))
    }
}

fn decode(segment: &Segment, buffer: &Bytes, bytes: &[u8], position: u64) -> Option<RecordedEvent> {
    Record::decode(bytes, segment.header.salt, position)?.event(buffer, Position::new(position))
}
