//! The domain of these tests: an order is shipped when it is paid for, and given up when it is not paid for in time.
//!
//! Sums are deltas, so that what happens twice shows.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use factum::testing::ManualClock;
use factum::{
    Aggregate, Dispatch, Draft, Effect, Event, EventId, HandlerError, Log, Position, Process, ProcessRunner, Query, Read,
    RecordedEvent, RunningProcess, StreamName, TypedEvent,
};

pub(crate) const HOUR: Duration = Duration::from_secs(3_600);
pub(crate) const PRICE: u64 = 100;

#[derive(Debug, Clone, PartialEq, Event)]
#[event(prefix = "Order")]
pub(crate) enum OrderEvent {
    Placed {
        #[event(tag)]
        order: String,
    },
    Paid {
        #[event(tag)]
        order: String,
        cents: u64,
    },
    Withdrawn {
        #[event(tag)]
        order: String,
    },
    /// Concerns nobody.
    Remarked {
        #[event(tag)]
        order: String,
    },
}

#[derive(Debug, Clone, PartialEq, Event)]
#[event(prefix = "Fulfilment")]
pub(crate) enum FulfilmentEvent {
    Begun,
    Received { cents: u64 },
    Reminded { reminders: u32 },
    Shipped { cents: u64 },
    GivenUp,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Command {
    Invoice,
    Remind { reminders: u32 },
    Thank { cents: u64 },
    Ship,
    Refund { cents: u64 },
}

#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Fulfilment {
    cents: u64,
    reminders: u32,
    over: bool,
}

impl Aggregate for Fulfilment {
    const CATEGORY: &'static str = "fulfilment";
    type Id = String;
    type Event = FulfilmentEvent;

    fn apply(&mut self, event: &FulfilmentEvent) {
        match event {
            FulfilmentEvent::Begun => {}
            FulfilmentEvent::Received { cents } => self.cents += cents,
            FulfilmentEvent::Reminded { .. } => self.reminders += 1,
            FulfilmentEvent::Shipped { .. } | FulfilmentEvent::GivenUp => self.over = true,
        }
    }
}

impl Process for Fulfilment {
    type Inputs = OrderEvent;
    type Command = Command;

    fn instance(input: &TypedEvent<OrderEvent>) -> Option<String> {
        match &input.data {
            OrderEvent::Placed { order } | OrderEvent::Paid { order, .. } | OrderEvent::Withdrawn { order } => {
                Some(order.clone())
            }
            OrderEvent::Remarked { .. } => None,
        }
    }

    fn react(&self, input: &TypedEvent<OrderEvent>) -> Vec<FulfilmentEvent> {
        match &input.data {
            OrderEvent::Paid { order, .. } => assert!(!is_poison(order), "{order} is poison"),
            OrderEvent::Placed { .. } => return vec![FulfilmentEvent::Begun],
            _ => {}
        }
        match &input.data {
            OrderEvent::Paid { cents, .. } if !self.over => {
                let received = FulfilmentEvent::Received { cents: *cents };
                let total = self.cents + cents;
                if total < PRICE { vec![received] } else { vec![received, FulfilmentEvent::Shipped { cents: total }] }
            }
            OrderEvent::Withdrawn { .. } if !self.over => vec![FulfilmentEvent::GivenUp],
            _ => vec![],
        }
    }

    fn wake(&self, timer: &str) -> Vec<FulfilmentEvent> {
        assert_eq!(timer, "unpaid");
        match self.reminders {
            reminders @ 0..2 => vec![FulfilmentEvent::Reminded { reminders: reminders + 1 }],
            _ => vec![FulfilmentEvent::GivenUp],
        }
    }

    fn effects(event: &TypedEvent<FulfilmentEvent>) -> Vec<Effect<Command>> {
        match &event.data {
            FulfilmentEvent::Begun => vec![Effect::Send(Command::Invoice), Effect::wake_after("unpaid", HOUR)],
            FulfilmentEvent::Received { cents } => vec![Effect::Send(Command::Thank { cents: *cents })],
            FulfilmentEvent::Reminded { reminders } => {
                vec![Effect::wake_after("unpaid", HOUR), Effect::Send(Command::Remind { reminders: *reminders })]
            }
            FulfilmentEvent::Shipped { .. } => vec![Effect::cancel("unpaid"), Effect::Send(Command::Ship)],
            FulfilmentEvent::GivenUp => vec![Effect::cancel("unpaid"), Effect::Send(Command::Refund { cents: 0 })],
        }
    }
}

thread_local! {
    /// Orders whose payments make the process panic, until they are mended. A test has a thread of its own.
    static POISON: RefCell<BTreeSet<String>> = const { RefCell::new(BTreeSet::new()) };
}

pub(crate) fn poison(order: &str) {
    POISON.with_borrow_mut(|poison| poison.insert(order.to_owned()));
}

pub(crate) fn mend(order: &str) {
    POISON.with_borrow_mut(|poison| poison.remove(order));
}

fn is_poison(order: &str) -> bool {
    POISON.with_borrow(|poison| poison.contains(order))
}

pub(crate) fn placed(order: &str) -> OrderEvent {
    OrderEvent::Placed { order: order.to_owned() }
}

pub(crate) fn paid(order: &str, cents: u64) -> OrderEvent {
    OrderEvent::Paid { order: order.to_owned(), cents }
}

pub(crate) fn withdrawn(order: &str) -> OrderEvent {
    OrderEvent::Withdrawn { order: order.to_owned() }
}

pub(crate) fn remarked(order: &str) -> OrderEvent {
    OrderEvent::Remarked { order: order.to_owned() }
}

/// Who carries commands out: each is a deed in the log.
#[derive(Clone, Default)]
pub(crate) struct Desk {
    taken: Arc<Mutex<Vec<(EventId, String, Command)>>>,
    careless: bool,
}

#[derive(Debug, Clone, PartialEq, Event)]
#[event(name = "Deed")]
pub(crate) struct Deed {
    command: String,
}

impl Desk {
    /// One that does not go by the ids of effects.
    pub(crate) fn careless() -> Self {
        Self { careless: true, ..Self::default() }
    }

    pub(crate) fn process(&self, log: &Log) -> ProcessRunner<Fulfilment> {
        let (desk, log) = (self.clone(), log.clone());
        let runner = log.clone().process(move |dispatch| desk.clone().carry_out(log.clone(), dispatch));
        runner.member("the only one")
    }

    async fn carry_out(self, log: Log, dispatch: Dispatch<Fulfilment>) -> Result<(), HandlerError> {
        self.take(&dispatch);
        let instance = dispatch.cause.stream.to_string();
        let deed = Deed { command: format!("{:?}", dispatch.command) };
        let stream: StreamName = instance.replace("fulfilment", "deed").parse()?;
        let log = if self.careless { log.with(dispatch.metadata()) } else { dispatch.on(&log) };
        let deed = || Ok::<_, std::convert::Infallible>([Draft::from(deed.clone()).to(stream.clone())]);
        log.decide((), |()| deed()).await?;
        Ok(())
    }

    pub(crate) fn take(&self, dispatch: &Dispatch<Fulfilment>) {
        let taken = (dispatch.id, dispatch.cause.stream.to_string(), dispatch.command.clone());
        self.taken.lock().unwrap().push(taken);
    }

    /// What was carried out for an order, repeats by the id of the effect left out.
    pub(crate) fn of(&self, order: &str) -> Vec<Command> {
        let mut ids = BTreeSet::new();
        let stream = format!("fulfilment-{order}");
        let taken = self.taken.lock().unwrap();
        taken
            .iter()
            .filter(|(id, instance, _)| *instance == stream && ids.insert(*id))
            .map(|(_, _, command)| command.clone())
            .collect()
    }

    /// How often commands were sent.
    pub(crate) fn sent(&self) -> usize {
        self.taken.lock().unwrap().len()
    }

    /// The ids of effects, with what they are.
    pub(crate) fn effects(&self) -> BTreeSet<(String, EventId, Command)> {
        let taken = self.taken.lock().unwrap();
        taken.iter().map(|(id, instance, command)| (instance.clone(), *id, command.clone())).collect()
    }
}

/// A clock that stands at the beginning of a day.
pub(crate) fn clock() -> ManualClock {
    ManualClock::new("2026-11-23T00:00:00Z".parse().unwrap())
}

/// Records events, each in an append and a stream of its order.
pub(crate) async fn happen(log: &Log, events: impl IntoIterator<Item = OrderEvent>) -> Position {
    for event in events {
        log.decide((), |()| Ok::<_, std::convert::Infallible>([Draft::from(event.clone())])).await.unwrap();
    }
    log.head().await.unwrap()
}

/// Records an event with an id that follows from a name.
pub(crate) async fn happen_once(log: &Log, name: &str, event: &OrderEvent) {
    let key = EventId::from(uuid::Uuid::new_v5(&uuid::Uuid::NAMESPACE_OID, name.as_bytes()));
    log.once(key).decide((), |()| Ok::<_, std::convert::Infallible>([Draft::from(event.clone())])).await.unwrap();
}

/// Everything that is recorded in the streams of a category, in order.
pub(crate) async fn recorded(log: &Log, category: &str) -> Vec<RecordedEvent> {
    let mut pages = log.read(Read::new(Query::from(factum::Selector::category(category.parse().unwrap()))));
    let mut events = Vec::new();
    while let Some(page) = pages.next().await.unwrap() {
        events.extend(page.events);
    }
    events
}

/// The names of an order's own events.
pub(crate) async fn own(log: &Log, order: &str) -> Vec<String> {
    let stream = format!("fulfilment-{order}");
    let events = recorded(log, "fulfilment").await;
    let own = events.iter().filter(|event| event.stream.as_str() == stream);
    own.map(|event| event.event_type.as_str().trim_start_matches("Fulfilment").to_owned()).collect()
}

/// The instance and the command of each effect that own events have.
pub(crate) async fn due(log: &Log) -> Vec<(String, Command)> {
    let mut due = Vec::new();
    for event in recorded(log, "fulfilment").await {
        let Some(own) = TypedEvent::<FulfilmentEvent>::of(event).unwrap() else { continue };
        let commands = Fulfilment::effects(&own).into_iter();
        due.extend(commands.filter_map(|effect| match effect {
            Effect::Send(command) => Some((own.stream.to_string(), command)),
            _ => None,
        }));
    }
    due
}

/// Until everything that is recorded is handled.
pub(crate) async fn handled(running: &RunningProcess, log: &Log) {
    let patience = async {
        loop {
            let head = log.head().await.unwrap();
            running.watch().wait_for(|status| head <= status.handled).await.expect("it runs");
            if head == log.head().await.unwrap() {
                return;
            }
        }
    };
    tokio::time::timeout(PATIENCE, patience).await.expect("it gets there");
}

/// Until all of it is handled, and all commands that this led to are carried out.
pub(crate) async fn settled(running: &RunningProcess, log: &Log, desk: &Desk) {
    let patience = async {
        loop {
            handled(running, log).await;
            if due(log).await.len() <= desk.effects().len() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, patience).await.expect("it gets there");
}

const PATIENCE: Duration = Duration::from_secs(60);
