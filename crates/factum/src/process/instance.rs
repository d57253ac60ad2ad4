//! An instance of a process: its state, and its timers, both made from its stream.

use std::collections::BTreeMap;

use super::failed::{Failed, caught};
use super::journal::TimerFired;
use super::timers::{Timer, TimerChange, changes};
use crate::{Draft, EventId, Metadata, NewEvent, Process, RecordedEvent, StreamName, TypedEvent, Version, aggregate};

/// What the events of one stream add up to.
#[derive(Debug, Clone)]
pub(crate) struct Instance<P> {
    pub(crate) state: P,
    pub(crate) version: Version,
    pub(crate) timers: BTreeMap<String, Timer>,
}

impl<P: Process> Instance<P> {
    pub(crate) fn new() -> Self {
        Self { state: P::default(), version: Version::EMPTY, timers: BTreeMap::new() }
    }

    /// Takes in the next event of its stream.
    pub(crate) fn apply(&mut self, event: &RecordedEvent) -> Result<(), Failed> {
        caught("apply", || aggregate::apply(&mut self.state, event))?.map_err(Failed::here)?;
        self.version = event.version;
        changes::<P>(event)?.into_iter().for_each(|change| self.change(change));
        Ok(())
    }

    pub(crate) fn change(&mut self, change: TimerChange) {
        match change {
            TimerChange::Set(name, timer) => drop(self.timers.insert(name, timer)),
            TimerChange::Cancelled(name) => drop(self.timers.remove(&name)),
            TimerChange::Fired(name, id) => {
                if self.timers.get(&name).is_some_and(|timer| timer.id == id) {
                    self.timers.remove(&name);
                }
            }
        }
    }

    /// The events that an input leads to. The state has them already; the timers not: they begin when they are recorded.
    pub(crate) fn react(&mut self, stream: &StreamName, input: &TypedEvent<P::Inputs>) -> Result<Vec<NewEvent>, Failed> {
        let events = caught("react", || self.state.react(input))?;
        // It happens to the instance when the input did, however late it is handled.
        let metadata = Metadata::caused_by(&input.recorded).occurred_at(input.recorded_at);
        self.decided(stream, &events, input.id, &metadata)
    }

    /// The events that a timer leads to, after the one that says that it went off; none where it is not set any more.
    pub(crate) fn wake(&mut self, stream: &StreamName, name: &str, id: EventId) -> Result<Vec<NewEvent>, Failed> {
        let Some(Timer { due, metadata, .. }) = self.timers.get(name).filter(|timer| timer.id == id).cloned() else {
            return Ok(Vec::new());
        };
        let fired = TimerFired { timer: name.to_owned(), timer_id: id.to_string(), due: due.to_string() };
        let fired = Draft::of_stream::<P>(stream.clone(), &fired).into_new_event().map_err(Failed::here)?;
        let fired = NewEvent { id: id.derived("fired"), metadata: metadata.occurred_at(due), ..fired };
        self.timers.remove(name);
        self.version = self.version.next();
        let own = caught("wake", || self.state.wake(name))?;
        let caused = Metadata { causation_id: Some(fired.id), ..fired.metadata.clone() };
        let woken = self.decided(stream, &own, fired.id, &caused)?;
        Ok(std::iter::once(fired).chain(woken).collect())
    }

    /// Own events, to be recorded, with ids that follow from what caused them.
    fn decided(
        &mut self,
        stream: &StreamName,
        own: &[P::Event],
        cause: EventId,
        metadata: &Metadata,
    ) -> Result<Vec<NewEvent>, Failed> {
        let mut events = Vec::with_capacity(own.len());
        for (index, event) in own.iter().enumerate() {
            let draft = Draft::of_stream::<P>(stream.clone(), event).metadata(metadata.clone());
            let id = cause.derived(&format!("process/{}/{index}", P::CATEGORY));
            events.push(NewEvent { id, ..draft.into_new_event().map_err(Failed::here)? });
            self.version = self.version.next();
            caught("apply", || self.state.apply(event))?;
        }
        Ok(events)
    }
}
