//! Timers: which are set, and which goes off next.

use std::collections::{BTreeSet, HashMap};

use serde::{Deserialize, Serialize};

use super::failed::{Failed, caught};
use super::journal::TimerFired;
use crate::{Effect, EventId, Metadata, Process, RecordedEvent, StreamName, Timestamp, TypedEvent};

/// What an event of an instance's stream says of one of its timers.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum TimerChange {
    Set(String, Timer),
    Cancelled(String),
    /// The timer of that name which has this id went off.
    Fired(String, EventId),
}

/// A timer that is set.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Timer {
    /// The id of the effect that set it.
    pub(crate) id: EventId,
    /// When it goes off.
    pub(crate) due: Timestamp,
    /// What goes on the events that it leads to.
    pub(crate) metadata: Metadata,
}

/// What an event of an instance's stream, own or not, says of the instance's timers, in order.
pub(crate) fn changes<P: Process>(event: &RecordedEvent) -> Result<Vec<TimerChange>, Failed> {
    if let Some(fired) = event.decode::<TimerFired>().map_err(Failed::here)? {
        return Ok(vec![TimerChange::Fired(fired.timer, fired.timer_id.parse().map_err(Failed::here)?)]);
    }
    let Some(own) = TypedEvent::<P::Event>::of(event.clone()).map_err(Failed::here)? else { return Ok(Vec::new()) };
    let effects = caught("effects", || P::effects(&own))?;
    let happened = event.metadata.occurred_at.unwrap_or(event.recorded_at);
    let timers = effects.into_iter().enumerate().filter_map(|(index, effect)| match effect {
        Effect::Send(_) => None,
        Effect::WakeAfter { timer, after } => Some(set(event, index, timer, happened.later(after))),
        Effect::WakeAt { timer, at } => Some(set(event, index, timer, at)),
        Effect::Cancel { timer } => Some(TimerChange::Cancelled(timer)),
    });
    Ok(timers.collect())
}

fn set(event: &RecordedEvent, index: usize, name: String, due: Timestamp) -> TimerChange {
    TimerChange::Set(name, Timer { id: effect_id(event.id, index), due, metadata: Metadata::caused_by(event) })
}

/// The id of an effect: that of its own event, and its place among the event's effects.
pub(crate) fn effect_id(event: EventId, index: usize) -> EventId {
    event.derived(&format!("effect/{index}"))
}

/// The timers of all instances, in the order in which they go off.
///
/// It is made from the own events, in their order, and only says where to look: whether a timer is still set is for its
/// instance to say.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    by_stream: HashMap<StreamName, HashMap<String, (Timestamp, EventId)>>,
    by_due: BTreeSet<(Timestamp, StreamName, String)>,
}

/// A timer, as the index knows it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct IndexedTimer {
    pub(crate) stream: String,
    pub(crate) timer: String,
    pub(crate) due_micros: i64,
    pub(crate) id: String,
}

impl Timers {
    pub(crate) fn apply(&mut self, stream: &StreamName, change: &TimerChange) {
        match change {
            TimerChange::Set(name, timer) => self.set(stream, name, timer.due, timer.id),
            TimerChange::Cancelled(name) => self.remove(stream, name),
            TimerChange::Fired(name, id) => {
                if self.by_stream.get(stream).and_then(|timers| timers.get(name)).is_some_and(|(_, set)| set == id) {
                    self.remove(stream, name);
                }
            }
        }
    }

    pub(crate) fn set(&mut self, stream: &StreamName, name: &str, due: Timestamp, id: EventId) {
        self.remove(stream, name);
        self.by_stream.entry(stream.clone()).or_default().insert(name.to_owned(), (due, id));
        self.by_due.insert((due, stream.clone(), name.to_owned()));
    }

    pub(crate) fn remove(&mut self, stream: &StreamName, name: &str) {
        let Some(timers) = self.by_stream.get_mut(stream) else { return };
        if let Some((due, _)) = timers.remove(name) {
            self.by_due.remove(&(due, stream.clone(), name.to_owned()));
        }
        if timers.is_empty() {
            self.by_stream.remove(stream);
        }
    }

    /// Forgets those of an instance.
    pub(crate) fn remove_all(&mut self, stream: &StreamName) {
        for (name, (due, _)) in self.by_stream.remove(stream).unwrap_or_default() {
            self.by_due.remove(&(due, stream.clone(), name));
        }
    }

    /// When the next one goes off.
    pub(crate) fn next_due(&self) -> Option<Timestamp> {
        self.by_due.first().map(|(due, _, _)| *due)
    }

    /// Takes the next one out, if it goes off by then.
    pub(crate) fn take_due(&mut self, by: Timestamp) -> Option<(StreamName, String, EventId)> {
        let (_, stream, name) = self.by_due.first().filter(|(due, _, _)| *due <= by)?.clone();
        let (_, id) = *self.by_stream.get(&stream)?.get(&name)?;
        self.remove(&stream, &name);
        Some((stream, name, id))
    }

    pub(crate) fn len(&self) -> usize {
        self.by_due.len()
    }

    /// All of them, to be written down.
    pub(crate) fn list(&self) -> impl Iterator<Item = IndexedTimer> {
        self.by_stream.iter().flat_map(|(stream, timers)| {
            timers.iter().map(|(timer, (due, id))| IndexedTimer {
                stream: stream.to_string(),
                timer: timer.clone(),
                due_micros: due.as_micros(),
                id: id.to_string(),
            })
        })
    }

    /// Those that were written down.
    pub(crate) fn of(list: impl IntoIterator<Item = IndexedTimer>) -> Result<Self, Failed> {
        let mut timers = Self::default();
        for IndexedTimer { stream, timer, due_micros, id } in list {
            let stream = StreamName::new(stream).map_err(Failed::here)?;
            timers.set(&stream, &timer, Timestamp::from_micros(due_micros), id.parse().map_err(Failed::here)?);
        }
        Ok(timers)
    }
}
