//! Admission: whether an append may be recorded now. The writer asks, one append at a time.

use std::collections::BTreeMap;

use factum::{AppendError, Appended, Conflict, Consumed, Direction, Expected, Position, Range, StoreError, StreamName, Version};

use crate::log::Log;
use crate::queue::{Prepared, PreparedCondition, Request};
use crate::reader::View;

/// What becomes of an append.
pub(crate) enum Verdict {
    Record,
    Refuse(AppendError),
    /// It is recorded already: this was the result.
    Repeat(Appended),
    /// It depends on events that are not durable yet: ask again when they are.
    Later,
}

/// What an append is judged by: the log with all that is recorded so far, durable or not.
pub(crate) struct Admission<'a> {
    view: View,
    /// The position of the last event recorded.
    last: Position,
    /// The marks that are recorded and not durable yet.
    marks: Option<&'a BTreeMap<String, u64>>,
}

impl<'a> Admission<'a> {
    pub(crate) fn new(log: &Log, last: Position, marks: Option<&'a BTreeMap<String, u64>>) -> Result<Self, StoreError> {
        Ok(Self { view: View::new(log)?, last, marks })
    }

    /// Checks in the order that `Store::append` names.
    pub(crate) fn judge(&self, request: &Request) -> Verdict {
        match self.repeat(&request.draft.events) {
            Ok(None) => {}
            Ok(Some(verdict)) => return verdict,
            Err(error) => return Verdict::Refuse(error.into()),
        }
        let checked = self.expectations(&request.draft.expected).and_then(|()| match &request.condition {
            Some(condition) => self.condition(condition),
            None => Ok(()),
        });
        match checked.and_then(|()| self.consumed(request.draft.consumed.as_ref())) {
            Ok(()) => Verdict::Record,
            Err(error) => Verdict::Refuse(error),
        }
    }

    fn repeat(&self, events: &[Prepared]) -> Result<Option<Verdict>, StoreError> {
        for (n, event) in events.iter().enumerate() {
            let Some(position) = self.recorded(event)? else { continue };
            if self.view.head().get() < position {
                return Ok(Some(Verdict::Later));
            }
            return if n == 0 { self.same(events, position) } else { Ok(Some(taken(event, position))) };
        }
        Ok(None)
    }

    /// The position of the event with this id.
    fn recorded(&self, event: &Prepared) -> Result<Option<u64>, StoreError> {
        let found = self.view.sources().with_id(event.terms.id, event.terms.uuid, |place| {
            if self.view.head().get() < place.position {
                return Some(Ok(place.position));
            }
            // Two ids may look alike to a run.
            match self.view.event(place) {
                Ok(recorded) => (recorded.id.uuid() == event.terms.uuid).then_some(Ok(place.position)),
                Err(error) => Some(Err(error)),
            }
        });
        found.transpose()
    }

    /// Whether the events from this position on are these.
    fn same(&self, events: &[Prepared], position: u64) -> Result<Option<Verdict>, StoreError> {
        let last = position + events.len() as u64 - 1;
        if self.view.head().get() < last {
            let is_pending = last <= self.last.get();
            return Ok(Some(if is_pending { Verdict::Later } else { taken(&events[0], position) }));
        }
        let mut recorded = Vec::with_capacity(events.len());
        for (event, at) in events.iter().zip(position..) {
            let original = self.view.at(at)?;
            if original.id.uuid() != event.terms.uuid || original.stream != event.stream {
                return Ok(Some(taken(&events[0], position)));
            }
            recorded.push(original);
        }
        Ok(Some(Verdict::Repeat(Appended::of(&recorded))))
    }

    fn expectations(&self, expected: &[(u128, StreamName, Expected)]) -> Result<(), AppendError> {
        for (hash, stream, expected) in expected {
            let actual = Version::new(self.view.sources().version(*hash));
            if !expected.holds(actual) {
                return Err(Conflict::Stream { stream: stream.clone(), expected: *expected, actual }.into());
            }
        }
        Ok(())
    }

    fn condition(&self, prepared: &PreparedCondition) -> Result<(), AppendError> {
        let after = prepared.condition.after;
        let range = Range { after: after.max(prepared.holds_to), through: self.last };
        match self.last_selected(&prepared.condition.query, range)? {
            Some(actual) => Err(Conflict::Condition { after, actual }.into()),
            None => Ok(()),
        }
    }

    /// The position of the last event in a range that a query selects.
    fn last_selected(&self, query: &factum::Query, mut range: Range) -> Result<Option<Position>, StoreError> {
        loop {
            let Some(place) = self.view.places(query, range, Direction::Backward, 1).pop() else { return Ok(None) };
            let position = Position::new(place.position);
            // An event that is not durable yet is in memory, where no two ids look alike.
            if self.view.head() < position || query.selects(&self.view.event(place)?) {
                return Ok(Some(position));
            }
            range.through = position.previous();
        }
    }

    fn consumed(&self, consumed: Option<&Consumed>) -> Result<(), AppendError> {
        let Some(Consumed { consumer, through }) = consumed else { return Ok(()) };
        let pending = self.marks.and_then(|marks| marks.get(consumer.as_str()).copied());
        let reached = pending.or_else(|| self.view.sources().mark(consumer.as_str())).unwrap_or(0);
        match reached < through.get() {
            true => Ok(()),
            false => Err(AppendError::AlreadyConsumed { consumer: consumer.clone(), through: Position::new(reached) }),
        }
    }
}

impl PreparedCondition {
    /// A condition is looked at before its turn where it reaches this far back, in events.
    const FAR: u64 = 10_000;

    /// Checks a condition that reaches far back against what is durable, so that the writer has only the rest to check.
    pub(crate) fn new(log: &Log, condition: factum::Condition) -> Result<Self, StoreError> {
        let view = Admission::new(log, log.head(), None)?;
        let head = view.view.head();
        let mut holds_to = condition.after;
        let range = Range { after: condition.after, through: head };
        let is_far = condition.after.get().saturating_add(Self::FAR) < head.get();
        if is_far && view.last_selected(&condition.query, range)?.is_none() {
            holds_to = head;
        }
        Ok(Self { condition, holds_to })
    }
}

fn taken(event: &Prepared, position: u64) -> Verdict {
    Verdict::Refuse(AppendError::IdTaken { id: event.terms.uuid.into(), position: Position::new(position) })
}
