//! What `read` and `export` select: filters, turned into a query and a part of the store.

use factum::{
    AnyStore, Direction, Position, Query, Range, Read, RecordedEvent, Scope, Selector, Store, StoreError, Timestamp, Version,
    Versions,
};

use crate::args::Filters;
use crate::exit::Failure;

/// The events of a page.
const PAGE: u64 = Read::USUAL_LIMIT as u64;

/// The events to print, and in which order.
#[derive(Debug, Clone)]
pub(crate) struct Selection {
    /// Which events.
    pub(crate) query: Query,
    /// From which part of the store. It ends at the head, so that a read ends although a writer goes on.
    pub(crate) range: Range,
    direction: Direction,
    /// At most this many.
    pub(crate) limit: u64,
}

impl Selection {
    /// What the filters mean for a store as it is now.
    pub(crate) async fn new(filters: &Filters, store: &AnyStore) -> Result<Self, Failure> {
        let after = match (&filters.stream, filters.after) {
            (None, Some(position)) => Position::new(position),
            _ => Position::START,
        };
        let direction = if filters.backward { Direction::Backward } else { Direction::Forward };
        let range = Range { after, through: store.head().await? };
        let limit = filters.limit.unwrap_or(u64::MAX);
        let mut selection = Self { query: query(filters), range, direction, limit };
        if let Some(time) = filters.since {
            selection.range.after = selection.range.after.max(before(store, range.through, time).await?);
        }
        match (filters.last, direction) {
            (Some(last), Direction::Backward) => selection.limit = limit.min(last),
            (Some(last), Direction::Forward) => selection.range.after = selection.before_last(store, last).await?,
            (None, _) => {}
        }
        selection.query.check().map_err(StoreError::from)?;
        Ok(selection)
    }

    /// The pages of what is selected.
    pub(crate) fn pages<'a>(&self, store: &'a AnyStore) -> Pages<'a> {
        let Self { query, range, direction, limit } = self.clone();
        Pages { store, read: Read { query, range, direction, limit: 0 }, left: limit, ended: range.is_empty() }
    }

    /// Where the last `count` events begin. They are counted, not kept: there may be many.
    async fn before_last(&self, store: &AnyStore, count: u64) -> Result<Position, Failure> {
        let backward = Self { direction: Direction::Backward, limit: count, ..self.clone() };
        let mut pages = backward.pages(store);
        let mut first = self.range.through.next();
        while let Some(events) = pages.next().await? {
            first = events.last().map_or(first, |event| event.position);
        }
        Ok(first.previous())
    }
}

fn query(filters: &Filters) -> Query {
    let scope = match (&filters.stream, &filters.category) {
        (Some(stream), _) => {
            let after = Version::new(filters.after.unwrap_or(0));
            Scope::Stream(stream.clone(), Versions { after, through: Version::MAX })
        }
        (None, Some(category)) => Scope::Category(category.clone()),
        (None, None) => Scope::Everything,
    };
    Selector { event_types: filters.event_types.clone(), tags: filters.tags.clone(), scope }.into()
}

/// The last position that was recorded before `time`. Recorded times never go back, so it can be searched by halves.
async fn before(store: &AnyStore, head: Position, time: Timestamp) -> Result<Position, Failure> {
    let (mut low, mut high) = (0, head.get());
    while low < high {
        let middle = low + (high - low) / 2;
        let page = store.read(Read::new(Query::all()).range(Range::after(Position::new(middle))).limit(1)).await?;
        match page.events.first() {
            Some(event) if event.recorded_at < time => low = middle + 1,
            _ => high = middle,
        }
    }
    Ok(Position::new(low))
}

/// The pages of a selection, read as they are asked for.
pub(crate) struct Pages<'a> {
    store: &'a AnyStore,
    read: Read,
    left: u64,
    ended: bool,
}

impl Pages<'_> {
    /// The next page, which may have no events; none at the end.
    pub(crate) async fn next(&mut self) -> Result<Option<Vec<RecordedEvent>>, Failure> {
        if self.ended || self.left == 0 {
            return Ok(None);
        }
        self.read.limit = self.left.min(PAGE) as usize;
        let page = self.store.read(self.read.clone()).await?;
        self.left -= page.events.len() as u64;
        match page.rest {
            Some(rest) => self.read.range = rest,
            None => self.ended = true,
        }
        Ok(Some(page.events))
    }
}
