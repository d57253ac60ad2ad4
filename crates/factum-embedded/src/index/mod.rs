//! The index: term → ordered events. All of it is derived from the segments and can be deleted.
//!
//! Streams, categories, event types and tags are all just terms. *Sources* cover the log without gap or overlap: runs on disk,
//! then the newest events in memory. A list's k-th event is, for a stream, the event of version `first_version + k`.

mod active;
mod cursor;
mod merge;
mod postings;
mod run;
mod select;
mod sources;
mod term;
mod write;

pub(crate) use active::Active;
pub(crate) use cursor::Cursor;
pub(crate) use merge::merge;
pub(crate) use run::{RUN_EVENTS_MAX, Run};
pub(crate) use select::{Span, select};
pub(crate) use sources::{Index, Place, Sources, reading, writing};
pub(crate) use term::{EventTerms, Seed, Term, TermMap};
pub(crate) use write::write_active;

use factum::Direction;
use uuid::Uuid;

/// Where the log goes on after a source: the scan of recovery begins there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Resume {
    /// The number of the segment.
    pub(crate) segment: u64,
    /// The offset after the last frame, in bytes; 0 where the source is before the first frame of all.
    pub(crate) end: u64,
    /// The offset of the last frame, 0 where there is none in this segment.
    pub(crate) frame: u64,
    /// The checksum of the last frame's header, or the segment's salt.
    pub(crate) checksum: u32,
    /// The time of the last event, µs since 1970.
    pub(crate) time_us: i64,
}

/// Events next to each other. An ordinal is a position less [`first`](Self::first).
pub(crate) trait Source {
    /// The position of the first event.
    fn first(&self) -> u64;
    /// How many there are.
    fn events(&self) -> u32;
    /// Where an event's record is in its segment, in bytes.
    fn offset(&self, ordinal: u32) -> u64;
    /// The events that have a term.
    fn list(&self, term: u128) -> Option<Box<dyn List + '_>>;
    /// The events that may have an id; the caller looks at them.
    fn with_id(&self, id: u128, uuid: Uuid) -> Vec<u32>;
    /// Through where a consumer has handled its source, if it is noted here.
    fn mark(&self, consumer: &str) -> Option<u64>;
    /// All that consumers have noted here.
    fn all_marks(&self) -> Vec<(String, u64)>;
}

/// The rising ordinals of the events that have a term; never none.
pub(crate) trait List {
    /// How many.
    fn len(&self) -> u32;
    /// Of a stream, the version of its first event here.
    fn first_version(&self) -> u64;
    /// The n-th ordinal, counted from 0 and below [`len`](Self::len).
    fn nth(&self, n: u32) -> u32;
    /// The ordinals in a direction.
    fn cursor<'a>(&self, direction: Direction) -> Box<dyn Cursor + 'a>
    where
        Self: 'a;
}
