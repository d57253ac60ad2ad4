//! Given-when-then for processes, with a virtual clock: without a store or a runtime.

use std::fmt::Debug;
use std::time::Duration;

use super::facts;
use crate::process::{Instance, changes};
use crate::{Draft, Effect, NewEvent, Position, Process, RecordedEvent, StreamName, Timestamp, TypedEvent, Version, aggregate};

/// An instance of a process that these own events have happened to, at the start of a clock of its own, in 1970.
///
/// ```
/// # use std::time::Duration;
/// # use factum::testing::given_process;
/// # use factum::{Aggregate, Draft, Effect, Event, Process, TypedEvent};
/// #[derive(Debug, Clone, PartialEq, Event)]
/// #[event(prefix = "Order")]
/// enum OrderEvent {
///     Placed { #[event(tag)] order: String },
///     Paid { #[event(tag)] order: String },
/// }
///
/// #[derive(Debug, Clone, PartialEq, Event)]
/// #[event(prefix = "Reminder")]
/// enum ReminderEvent {
///     Begun,
///     Sent,
///     Ended,
/// }
///
/// #[derive(Debug, PartialEq)]
/// struct Remind;
///
/// #[derive(Clone, Default)]
/// struct Reminder;
///
/// impl Aggregate for Reminder {
///     const CATEGORY: &'static str = "reminder";
///     type Id = String;
///     type Event = ReminderEvent;
///     fn apply(&mut self, _event: &ReminderEvent) {}
/// }
///
/// impl Process for Reminder {
///     type Inputs = OrderEvent;
///     type Command = Remind;
///
///     fn instance(input: &TypedEvent<OrderEvent>) -> Option<String> {
///         match &input.data {
///             OrderEvent::Placed { order } | OrderEvent::Paid { order } => Some(order.clone()),
///         }
///     }
///
///     fn react(&self, input: &TypedEvent<OrderEvent>) -> Vec<ReminderEvent> {
///         match &input.data {
///             OrderEvent::Placed { .. } => vec![ReminderEvent::Begun],
///             OrderEvent::Paid { .. } => vec![ReminderEvent::Ended],
///         }
///     }
///
///     fn wake(&self, _timer: &str) -> Vec<ReminderEvent> {
///         vec![ReminderEvent::Sent]
///     }
///
///     fn effects(event: &TypedEvent<ReminderEvent>) -> Vec<Effect<Remind>> {
///         match &event.data {
///             ReminderEvent::Begun => vec![Effect::wake_after("unpaid", Duration::from_secs(3_600))],
///             ReminderEvent::Sent => vec![Effect::Send(Remind)],
///             ReminderEvent::Ended => vec![Effect::cancel("unpaid")],
///         }
///     }
/// }
///
/// given_process::<Reminder>("42", [])
///     .when(OrderEvent::Placed { order: "42".into() })
///     .then([ReminderEvent::Begun])
///     .after(Duration::from_secs(3_599))
///     .then_nothing()
///     .after(Duration::from_secs(1))
///     .then([ReminderEvent::Sent])
///     .then_effects([Effect::Send(Remind)]);
/// ```
/// Each event is written and read back: one that is another then fails the test, since so it would in a store.
///
/// # Panics
/// Where an event cannot be stored as it is, or makes no instance.
#[track_caller]
pub fn given_process<P>(id: impl Into<P::Id>, events: impl IntoIterator<Item = P::Event>) -> GivenProcess<P>
where
    P: Process<Event: PartialEq + Debug>,
{
    let id = id.into();
    let stream = expect("the id makes a stream name", aggregate::stream::<P>(&id));
    let mut given = GivenProcess {
        id,
        stream,
        instance: Instance::new(),
        version: Version::EMPTY,
        now: Timestamp::from_micros(0),
        events: vec![],
        effects: vec![],
    };
    for event in events {
        facts::check_round_trip::<P>(&given.id, &event);
        let new = expect("the event can be stored", Draft::of::<P>(&given.id, &event).into_new_event());
        let recorded = given.recorded(new);
        expect("the event happens to the instance", given.instance.apply(&recorded));
    }
    given
}

/// An instance of a process, and what the last thing that happened led to: see [`given_process`].
#[derive(Debug)]
pub struct GivenProcess<P: Process> {
    id: P::Id,
    stream: StreamName,
    instance: Instance<P>,
    version: Version,
    now: Timestamp,
    events: Vec<P::Event>,
    effects: Vec<Effect<P::Command>>,
}

/// More timers than these go off only where one sets itself for the past.
const TIMERS_MAX: usize = 10_000;

impl<P: Process<Event: PartialEq + Debug>> GivenProcess<P> {
    /// This happens, elsewhere. An event without a stream or a tag is taken to be in a stream of its own.
    ///
    /// # Panics
    /// Where it is not one that the process is given, or concerns another instance.
    #[track_caller]
    #[must_use = "say what is to be expected: `then`, `then_effects` or `then_nothing`"]
    pub fn when(mut self, input: impl Into<Draft>) -> Self {
        let draft = input.into().or_to(expect("a name", StreamName::new("input")));
        let recorded = facts::record(std::iter::once(draft)).remove(0);
        let recorded = RecordedEvent { recorded_at: self.now, ..recorded };
        let event_type = recorded.event_type.clone();
        assert!(
            expect("the process has a query", P::query()).selects(&recorded),
            "{event_type} is not what the process is given"
        );
        let Some(input) = expect("the input can be read", TypedEvent::<P::Inputs>::of(recorded)) else {
            panic!("{event_type} is not among the process's inputs");
        };
        (self.events, self.effects) = (Vec::new(), Vec::new());
        let Some(id) = P::instance(&input) else { return self };
        assert!(id.to_string() == self.id.to_string(), "{event_type} concerns instance {id}, and {} is given", self.id);
        let events = self.instance.state.react(&input);
        let new = self.instance.react(&self.stream, &input);
        self.happens(events, expect("own events can be stored", new));
        self
    }

    /// Time goes by: all that is due by then goes off, in its turn.
    ///
    /// # Panics
    /// Where timers set each other for ever.
    #[track_caller]
    #[must_use = "say what is to be expected: `then`, `then_effects` or `then_nothing`"]
    pub fn after(self, time: Duration) -> Self {
        let until = self.now.later(time);
        self.until(until)
    }

    /// Time goes by until then, as in [`after`](Self::after).
    ///
    /// # Panics
    /// Where timers set each other for ever.
    #[track_caller]
    #[must_use = "say what is to be expected: `then`, `then_effects` or `then_nothing`"]
    pub fn until(mut self, time: Timestamp) -> Self {
        (self.events, self.effects) = (Vec::new(), Vec::new());
        let mut fired = 0;
        while let Some((due, name)) = self.next_timer().filter(|(due, _)| *due <= time) {
            fired += 1;
            assert!(fired <= TIMERS_MAX, "{TIMERS_MAX} timers went off, the last of them {name:?}: they set each other for ever");
            self.now = self.now.max(due);
            let events = self.instance.state.wake(&name);
            let id = self.instance.timers[&name].id;
            let new = self.instance.wake(&self.stream, &name, id);
            self.happens(events, expect("own events can be stored", new));
        }
        self.now = self.now.max(time);
        self
    }

    fn next_timer(&self) -> Option<(Timestamp, String)> {
        self.instance.timers.iter().map(|(name, timer)| (timer.due, name.clone())).min()
    }

    /// Own events happen: as values, and as they are recorded.
    #[track_caller]
    fn happens(&mut self, events: Vec<P::Event>, new: Vec<NewEvent>) {
        for event in &events {
            facts::check_round_trip::<P>(&self.id, event);
        }
        let mut read = Vec::new();
        for new in new {
            let recorded = self.recorded(new);
            let changes = changes::<P>(&recorded);
            expect("its effects", changes).into_iter().for_each(|change| self.instance.change(change));
            if let Some(own) = expect("an own event", TypedEvent::<P::Event>::of(recorded)) {
                self.effects.extend(P::effects(&own));
                read.push(own.data);
            }
        }
        assert!(
            read == events,
            "the process is not pure: asked twice, it says{} and{}",
            facts::lines(&events),
            facts::lines(&read)
        );
        self.events.extend(events);
    }

    fn recorded(&mut self, new: NewEvent) -> RecordedEvent {
        self.version = self.version.next();
        RecordedEvent::record(new, Position::new(self.version.get()), self.version, self.now)
    }

    /// That led to these own events, in this order.
    ///
    /// # Panics
    /// Where it did not.
    #[track_caller]
    pub fn then(self, events: impl IntoIterator<Item = P::Event>) -> Self {
        let expected: Vec<_> = events.into_iter().collect();
        assert!(
            self.events == expected,
            "expected own events:{}\nthe process has:{}",
            facts::lines(&expected),
            facts::lines(&self.events)
        );
        self
    }

    /// That led to no own event, and so to no effect.
    ///
    /// # Panics
    /// Where it did.
    #[track_caller]
    pub fn then_nothing(self) -> Self {
        self.then([])
    }

    /// The own events that it led to have these effects, timers included, in this order.
    ///
    /// # Panics
    /// Where they have not.
    #[track_caller]
    pub fn then_effects(self, effects: impl IntoIterator<Item = Effect<P::Command>>) -> Self
    where
        P::Command: PartialEq + Debug,
    {
        let expected: Vec<_> = effects.into_iter().collect();
        let (wanted, had) = (facts::lines(&expected), facts::lines(&self.effects));
        assert!(self.effects == expected, "expected effects:{wanted}\nthe own events have:{had}");
        self
    }
}

#[track_caller]
fn expect<T, E: std::fmt::Display>(what: &str, outcome: Result<T, E>) -> T {
    match outcome {
        Ok(value) => value,
        Err(error) => panic!("{what}: {error}"),
    }
}
