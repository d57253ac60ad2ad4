//! Given-when-then for processes, with a clock of the test's own.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::time::Duration;

use super::facts;
use crate::{Draft, Effect, Position, Process, RecordedEvent, Repository, Timestamp, TypedEvent};

/// An instance of a process that these events of its own have happened to, at the beginning of time as this test counts it.
///
/// Timers that they set are set. Each event is written and read back, as a store would.
///
/// # Panics
/// Where an event cannot be stored as it is.
#[track_caller]
pub fn given_process<P>(id: impl Into<P::Id>, events: impl IntoIterator<Item = P::Event>) -> GivenProcess<P>
where
    P: Process<Event: PartialEq + Debug>,
{
    let now = Timestamp::from_micros(0);
    let mut given = GivenProcess { id: id.into(), state: P::default(), now, timers: BTreeMap::new(), inputs: 0 };
    let events: Vec<_> = events.into_iter().collect();
    given.take(events, now);
    given
}

/// An instance of a process: see [`given_process`].
#[must_use = "go on with `when` or `after`"]
pub struct GivenProcess<P: Process> {
    id: P::Id,
    state: P,
    now: Timestamp,
    timers: BTreeMap<&'static str, Timestamp>,
    inputs: u64,
}

/// What an instance did: to be compared with what it should, and to go on from.
pub struct Reacted<P: Process> {
    process: GivenProcess<P>,
    events: Vec<P::Event>,
    commands: Vec<P::Command>,
}

impl<P: Process<Event: PartialEq + Debug>> GivenProcess<P> {
    /// An input happens, now.
    ///
    /// # Panics
    /// Where the input cannot be stored as it is, is none of the process's, or concerns another instance.
    #[track_caller]
    #[must_use = "say what is to be expected: `then`, `then_sends` or `then_nothing`"]
    pub fn when(mut self, input: impl Into<Draft>) -> Reacted<P> {
        self.inputs += 1;
        let recorded = facts::record(std::iter::once(input.into())).remove(0);
        let place = Position::new(self.inputs);
        let recorded = RecordedEvent { position: place, recorded_at: self.now, ..recorded };
        let input = match TypedEvent::<P::Inputs>::of(recorded) {
            Ok(Some(input)) => input,
            Ok(None) => panic!("the event is none of the process's inputs"),
            Err(error) => panic!("the input cannot be read: {error}"),
        };
        let concerned = P::instance(&input).map(|id| Repository::<P>::stream(&id));
        assert_eq!(concerned, Some(Repository::<P>::stream(&self.id)), "the input concerns another instance");
        let events = self.state.react(&input);
        let at = self.now;
        self.react(events, at)
    }

    /// So much time passes, and the timers that are due by then go off, in their order.
    ///
    /// # Panics
    /// Where an event that comes of it cannot be stored as it is.
    #[track_caller]
    #[must_use = "say what is to be expected: `then`, `then_sends` or `then_nothing`"]
    pub fn after(mut self, time: Duration) -> Reacted<P> {
        let until = self.now.later(time);
        let (mut events, mut commands) = (Vec::new(), Vec::new());
        // One may set another that is due by then.
        while let Some((due, timer)) =
            self.timers.iter().map(|(timer, due)| (*due, *timer)).min().filter(|(due, _)| *due <= until)
        {
            self.timers.remove(timer);
            let woken = self.state.wake(timer);
            let reacted = self.react(woken, due);
            self = reacted.process;
            events.extend(reacted.events);
            commands.extend(reacted.commands);
        }
        self.now = until;
        Reacted { process: self, events, commands }
    }

    #[track_caller]
    fn react(mut self, events: Vec<P::Event>, at: Timestamp) -> Reacted<P> {
        let id = self.id.to_string();
        let effects: Vec<_> = events.iter().flat_map(|event| P::effects(&id, event)).collect();
        let commands = effects.into_iter().filter_map(|effect| match effect {
            Effect::Send(command) => Some(command),
            _ => None,
        });
        let commands = commands.collect();
        let taken = self.take(events, at);
        Reacted { process: self, events: taken, commands }
    }

    /// Takes events of its own in, with the timers that they set.
    #[track_caller]
    fn take(&mut self, events: Vec<P::Event>, at: Timestamp) -> Vec<P::Event> {
        let id = self.id.to_string();
        for event in &events {
            facts::check_round_trip::<P>(&self.id, event);
            self.state.apply(event);
            for effect in P::effects(&id, event) {
                match effect {
                    Effect::Send(_) => {}
                    Effect::WakeAfter(timer, after) => drop(self.timers.insert(timer, at.later(after))),
                    Effect::WakeAt(timer, at) => drop(self.timers.insert(timer, at)),
                    Effect::Cancel(timer) => drop(self.timers.remove(timer)),
                }
            }
        }
        events
    }
}

impl<P: Process<Event: PartialEq + Debug>> Reacted<P> {
    /// It records these events of its own, in this order.
    ///
    /// # Panics
    /// Where it does not.
    #[track_caller]
    pub fn then(self, events: impl IntoIterator<Item = P::Event>) -> Self {
        let expected: Vec<_> = events.into_iter().collect();
        assert!(self.events == expected, "expected:{}\nrecorded:{}", facts::lines(&expected), facts::lines(&self.events));
        self
    }

    /// It sends these commands, in this order.
    ///
    /// # Panics
    /// Where it does not.
    #[track_caller]
    pub fn then_sends(self, commands: impl IntoIterator<Item = P::Command>) -> Self
    where
        P::Command: PartialEq + Debug,
    {
        let expected: Vec<_> = commands.into_iter().collect();
        assert!(self.commands == expected, "expected:{}\nsent:{}", facts::lines(&expected), facts::lines(&self.commands));
        self
    }

    /// It does nothing: no event, and so no effect.
    ///
    /// # Panics
    /// Where it does something.
    #[track_caller]
    pub fn then_nothing(self) -> Self {
        self.then([])
    }

    /// Goes on, with what it has become.
    pub fn and(self) -> GivenProcess<P> {
        self.process
    }
}
