//! The sources of a log: what covers all of it, and is asked for events.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use factum::{Direction, Query, Range};
use uuid::Uuid;

use super::{Active, Cursor, Run, Seed, Source, Span, Term, select};

/// The index of a log, which readers and the writer share.
#[derive(Debug)]
pub(crate) struct Index {
    pub(crate) seed: Seed,
    sources: RwLock<Arc<Sources>>,
}

/// Runs, then actives, in the order of their events. The last active is the one that is written to.
#[derive(Debug, Clone)]
pub(crate) struct Sources {
    pub(crate) seed: Seed,
    pub(crate) runs: Vec<Arc<Run>>,
    pub(crate) actives: Vec<Arc<RwLock<Active>>>,
}

/// Where an event is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) position: u64,
    /// Where its record is in its segment, in bytes.
    pub(crate) offset: u64,
    /// Where the next event's record is in its own segment, if the source has that event.
    pub(crate) next: Option<u64>,
}

impl Place {
    fn of(source: &dyn Source, ordinal: u32) -> Self {
        let next = ordinal + 1;
        Self {
            position: source.first() + u64::from(ordinal),
            offset: source.offset(ordinal),
            next: (next < source.events()).then(|| source.offset(next)),
        }
    }
}

impl Index {
    pub(crate) fn new(seed: Seed, runs: Vec<Arc<Run>>, active: Active) -> Self {
        let actives = vec![Arc::new(RwLock::new(active))];
        Self { seed, sources: RwLock::new(Arc::new(Sources { seed, runs, actives })) }
    }

    /// The sources as they are now; events that come later may be missing.
    pub(crate) fn sources(&self) -> Arc<Sources> {
        Arc::clone(&self.sources.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Changes the sources; they cover the same events before and after.
    pub(crate) fn change(&self, change: impl FnOnce(&mut Sources)) {
        let mut sources = self.sources.write().unwrap_or_else(PoisonError::into_inner);
        change(Arc::make_mut(&mut sources));
    }
}

/// Reads an active. A panic while it was written to leaves at worst an event that was not published.
pub(crate) fn reading(active: &RwLock<Active>) -> RwLockReadGuard<'_, Active> {
    active.read().unwrap_or_else(PoisonError::into_inner)
}

/// Writes to an active.
pub(crate) fn writing(active: &RwLock<Active>) -> RwLockWriteGuard<'_, Active> {
    active.write().unwrap_or_else(PoisonError::into_inner)
}

impl Sources {
    /// The active that is written to.
    pub(crate) fn active(&self) -> &Arc<RwLock<Active>> {
        self.actives.last().expect("there is always an active")
    }

    /// Visits the sources in a direction until one of them is enough.
    fn visit<T>(&self, direction: Direction, mut visit: impl FnMut(&dyn Source) -> ControlFlow<T>) -> Option<T> {
        let count = self.runs.len() + self.actives.len();
        for n in 0..count {
            let n = if direction == Direction::Forward { n } else { count - 1 - n };
            let flow = match self.runs.get(n) {
                Some(run) => visit(&**run),
                None => visit(&*reading(&self.actives[n - self.runs.len()])),
            };
            if let ControlFlow::Break(value) = flow {
                return Some(value);
            }
        }
        None
    }

    /// What the first source with an answer says, the newest first.
    fn newest<T>(&self, mut find: impl FnMut(&dyn Source) -> Option<T>) -> Option<T> {
        self.visit(Direction::Backward, |source| find(source).map_or(ControlFlow::Continue(()), ControlFlow::Break))
    }

    /// Where the first events are that a query selects, in a direction, at most `limit` of them.
    pub(crate) fn places(&self, query: &Query, range: Range, direction: Direction, limit: usize) -> Vec<Place> {
        self.found(range, direction, limit, |source| select(source, self.seed, query, direction))
    }

    /// Where the first events are that have a term, in rising order, at most `limit` of them.
    pub(crate) fn with_term(&self, term: u128, range: Range, limit: usize) -> Vec<Place> {
        self.found(range, Direction::Forward, limit, |source| source.list(term).map(|list| list.cursor(Direction::Forward)))
    }

    fn found<F>(&self, range: Range, direction: Direction, limit: usize, cursor: F) -> Vec<Place>
    where
        F: for<'a> Fn(&'a dyn Source) -> Option<Box<dyn Cursor + 'a>>,
    {
        let mut places = Vec::new();
        self.visit(direction, |source| {
            let Some((span, mut cursor)) = Span::of(source, range.after.get(), range.through.get()).zip(cursor(source)) else {
                return ControlFlow::Continue(());
            };
            let mut target = Some(span.start(direction));
            while let Some(ordinal) = target.and_then(|target| cursor.seek(target)).filter(|&ordinal| span.contains(ordinal)) {
                places.push(Place::of(source, ordinal));
                if places.len() == limit {
                    return ControlFlow::Break(());
                }
                target = span.next(ordinal, direction);
            }
            ControlFlow::Continue(())
        });
        places
    }

    /// The place of the event at a position.
    pub(crate) fn place(&self, position: u64) -> Option<Place> {
        self.newest(|source| {
            let ordinal = position.checked_sub(source.first())?;
            (ordinal < u64::from(source.events())).then(|| Place::of(source, ordinal as u32))
        })
    }

    /// The version of a stream, 0 where there is none.
    pub(crate) fn version(&self, stream: u128) -> u64 {
        self.newest(|source| source.list(stream).map(|list| list.first_version() + u64::from(list.len()) - 1)).unwrap_or(0)
    }

    /// How many events have a term.
    pub(crate) fn count(&self, term: Term<'_>) -> u64 {
        let hash = self.seed.hash(term);
        let mut count = 0;
        self.visit(Direction::Forward, |source| {
            count += source.list(hash).map_or(0, |list| u64::from(list.len()));
            ControlFlow::<()>::Continue(())
        });
        count
    }

    /// The places of the events that may have an id, the newest first, until one of them is found to have it.
    pub(crate) fn with_id<T>(&self, id: u128, uuid: Uuid, mut look: impl FnMut(Place) -> Option<T>) -> Option<T> {
        self.newest(|source| {
            source
                .with_id(id, uuid)
                .into_iter()
                .filter(|&ordinal| ordinal < source.events())
                .find_map(|ordinal| look(Place::of(source, ordinal)))
        })
    }

    /// Through where a consumer has handled its source, if it has noted anything.
    pub(crate) fn mark(&self, consumer: &str) -> Option<u64> {
        self.newest(|source| source.mark(consumer))
    }

    /// The marks of all consumers.
    pub(crate) fn marks(&self) -> BTreeMap<String, u64> {
        let mut marks = BTreeMap::new();
        self.visit(Direction::Forward, |source| {
            // What is newer comes later.
            marks.extend(source.all_marks());
            ControlFlow::<()>::Continue(())
        });
        marks
    }
}
