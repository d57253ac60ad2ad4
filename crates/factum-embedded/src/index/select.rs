//! Which events of a source a query selects.

use factum::{Direction, Query, Scope, Selector, Versions};

use super::cursor::{AllCursor, AllOf, AnyOf, Between, SliceCursor};
use super::{Cursor, List, Seed, Source, Term};

/// Some ordinals next to each other, both ends included.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Span {
    pub(crate) least: u32,
    pub(crate) greatest: u32,
}

impl Span {
    /// The part of a source that is in `after < position <= through`.
    pub(crate) fn of(source: &dyn Source, after: u64, through: u64) -> Option<Self> {
        let first = source.first();
        let last = (first + u64::from(source.events())).checked_sub(1)?.min(through);
        let from = first.max(after.checked_add(1)?);
        (from <= last).then(|| Self { least: (from - first) as u32, greatest: (last - first) as u32 })
    }

    /// The first ordinal in a direction.
    pub(crate) fn start(self, direction: Direction) -> u32 {
        match direction {
            Direction::Forward => self.least,
            Direction::Backward => self.greatest,
        }
    }

    /// The ordinal after one in a direction.
    pub(crate) fn next(self, ordinal: u32, direction: Direction) -> Option<u32> {
        match direction {
            Direction::Forward => (ordinal < self.greatest).then(|| ordinal + 1),
            Direction::Backward => (self.least < ordinal).then(|| ordinal - 1),
        }
    }

    pub(crate) fn contains(self, ordinal: u32) -> bool {
        self.least <= ordinal && ordinal <= self.greatest
    }
}

type BoxCursor<'a> = Box<dyn Cursor + 'a>;

/// The ordinals that the query selects, and, where two ids look alike, some that it doesn't. `None` where it selects nothing
/// here.
pub(crate) fn select<'a>(source: &'a dyn Source, seed: Seed, query: &Query, direction: Direction) -> Option<BoxCursor<'a>> {
    let each = query.selectors.iter().filter_map(|selector| Selection { source, seed, direction }.selector(selector));
    any_of(each.collect(), direction)
}

fn any_of<'a>(mut cursors: Vec<BoxCursor<'a>>, direction: Direction) -> Option<BoxCursor<'a>> {
    match cursors.len() {
        0 | 1 => cursors.pop(),
        _ => Some(Box::new(AnyOf::new(cursors, direction))),
    }
}

struct Selection<'a> {
    source: &'a dyn Source,
    seed: Seed,
    direction: Direction,
}

impl<'a> Selection<'a> {
    fn selector(&self, selector: &Selector) -> Option<BoxCursor<'a>> {
        // How many events each has, so that the rarest is asked first.
        let mut all: Vec<(u32, BoxCursor<'a>)> = Vec::new();
        for tag in &selector.tags {
            all.push(self.term(Term::Tag(tag.as_str()))?);
        }
        all.extend(self.scope(&selector.scope)?);
        if !selector.event_types.is_empty() {
            all.push(self.event_types(selector)?);
        }
        all.sort_by_key(|(count, _)| *count);
        let mut cursors: Vec<_> = all.into_iter().map(|(_, cursor)| cursor).collect();
        match cursors.len() {
            0 => Some(Box::new(AllCursor { count: self.source.events(), direction: self.direction })),
            1 => cursors.pop(),
            _ => Some(Box::new(AllOf(cursors))),
        }
    }

    fn list(&self, term: Term<'_>) -> Option<Box<dyn List + 'a>> {
        self.source.list(self.seed.hash(term))
    }

    fn term(&self, term: Term<'_>) -> Option<(u32, BoxCursor<'a>)> {
        let list = self.list(term)?;
        Some((list.len(), list.cursor(self.direction)))
    }

    fn event_types(&self, selector: &Selector) -> Option<(u32, BoxCursor<'a>)> {
        let each = selector.event_types.iter().filter_map(|event_type| self.term(Term::EventType(event_type.as_str())));
        let (counts, cursors): (Vec<_>, Vec<_>) = each.unzip();
        let count = counts.into_iter().fold(0, u32::saturating_add);
        Some((count, any_of(cursors, self.direction)?))
    }

    /// `Some(None)` is everything, `None` nothing.
    fn scope(&self, scope: &Scope) -> Option<Option<(u32, BoxCursor<'a>)>> {
        let term = match scope {
            Scope::Everything => return Some(None),
            Scope::Stream(stream, versions) => return self.stream(stream.as_str(), *versions).map(Some),
            Scope::Event(id) => {
                let mut ordinals = self.source.with_id(self.seed.hash(Term::Id(id.uuid())), id.uuid());
                ordinals.sort_unstable();
                let cursor: BoxCursor<'a> = Box::new(SliceCursor::new(ordinals, self.direction));
                return Some(Some((1, cursor)));
            }
            Scope::Category(category) => Term::Category(category.as_str()),
            Scope::Correlation(id) => Term::Correlation(id),
            Scope::CausedBy(id) => Term::CausedBy(id.uuid()),
            // A scope that is newer than this engine: every event is looked at.
            _ => return Some(None),
        };
        self.term(term).map(Some)
    }

    fn stream(&self, stream: &str, versions: Versions) -> Option<(u32, BoxCursor<'a>)> {
        let list = self.list(Term::Stream(stream))?;
        let (first, count) = (list.first_version(), list.len());
        let last = (first + u64::from(count)).checked_sub(1)?.min(versions.through.get());
        let from = first.max(versions.after.get().checked_add(1)?);
        if last < from {
            return None;
        }
        let cursor = list.cursor(self.direction);
        if versions == Versions::ALL {
            return Some((count, cursor));
        }
        let (least, greatest) = (list.nth((from - first) as u32), list.nth((last - first) as u32));
        Some(((last - from + 1) as u32, Box::new(Between { cursor, least, greatest, direction: self.direction })))
    }
}
