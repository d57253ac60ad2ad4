//! A read: one page of what a query selects.

use crate::{Category, Position, Query, Range, RecordedEvent, StreamName, Timestamp, Version, limits};

/// What a page is to hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Read {
    /// Which events.
    pub query: Query,
    /// From which part of the store.
    pub range: Range,
    /// In which order.
    pub direction: Direction,
    /// At most this many; counted from 1, and [`limits::PAGE_EVENTS_MAX`] at most: a store takes another number for the nearest.
    pub limit: usize,
}

/// The order of a page's events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Direction {
    /// Rising positions.
    #[default]
    Forward,
    /// Falling positions.
    Backward,
}

impl Read {
    /// All that the query selects, forward, in pages of a usual size.
    pub fn new(query: Query) -> Self {
        Self { query, range: Range::ALL, direction: Direction::Forward, limit: Self::USUAL_LIMIT }
    }

    /// The events of a page where nobody asks for another number.
    pub const USUAL_LIMIT: usize = 1_000;

    /// From this part of the store.
    #[must_use]
    pub fn range(mut self, range: Range) -> Self {
        self.range = range;
        self
    }

    /// The last first.
    #[must_use]
    pub fn backward(mut self) -> Self {
        self.direction = Direction::Backward;
        self
    }

    /// At most this many events.
    #[must_use]
    pub fn limit(mut self, limit: usize) -> Self {
        self.limit = limit;
        self
    }

    /// The limit that a store goes by.
    pub fn page_limit(&self) -> usize {
        self.limit.clamp(1, limits::PAGE_EVENTS_MAX)
    }
}

/// Some of the events that a read selects, in its order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// The events; there may be none although there is a rest.
    pub events: Vec<RecordedEvent>,
    /// What is left of the range; `None` at its end, or at the head.
    pub rest: Option<Range>,
    /// The head at which the page was read: every event of the page's part of the range that is at or below it was seen.
    pub head: Position,
}

impl Page {
    /// Where a forward reader of `range` stands after this page: all that the query selects up to here was returned.
    pub fn through(&self, range: Range) -> Position {
        match self.rest {
            Some(rest) => rest.after,
            None => range.through.min(self.head).max(range.after),
        }
    }
}

/// What a page of streams is to hold. The streams stand in the order of their first events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadStreams {
    /// Only streams of this category.
    pub category: Option<Category>,
    /// Only streams whose names begin like this.
    pub prefix: String,
    /// Only streams whose first event is after this position.
    pub after: Position,
    /// At most this many, counted from 1.
    pub limit: usize,
}

/// All streams, in pages of a usual size.
impl Default for ReadStreams {
    fn default() -> Self {
        Self { category: None, prefix: String::new(), after: Position::START, limit: Read::USUAL_LIMIT }
    }
}

/// Some of the streams that a read selects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamsPage {
    /// The streams; there may be none although there is a rest.
    pub streams: Vec<StreamSummary>,
    /// Where the rest begins: the next page is the one `after` it. `None` at the end.
    pub rest: Option<Position>,
}

/// A stream in short.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamSummary {
    /// Its name.
    pub name: StreamName,
    /// How many events it has.
    pub version: Version,
    /// Its first event.
    pub first: Change,
    /// Its last event.
    pub last: Change,
}

/// Where and when an event was recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change {
    /// Where.
    pub position: Position,
    /// When.
    pub recorded_at: Timestamp,
}

impl From<&RecordedEvent> for Change {
    fn from(event: &RecordedEvent) -> Self {
        Self { position: event.position, recorded_at: event.recorded_at }
    }
}
