//! Processes: inputs become events and commands once, wherever they are killed, and timers survive.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use factum::testing::{ManualClock, given_process};
use factum::{
    Aggregate, AnyStore, Append, AppendError, Appended, Backoff, Cause, Draft, Effect, Event, EventId, HandlerError, Log,
    MemoryStore, Page, Position, Process, Query, Read, ReadStreams, RunningProcess, Scope, Selector, Store, StoreError,
    StreamsPage, TypedEvent,
};
use tokio_util::sync::CancellationToken;

const HOUR: Duration = Duration::from_secs(3_600);
const PATIENCE: Duration = Duration::from_secs(20);

#[derive(Debug, Clone, PartialEq, Event)]
#[event(prefix = "Order")]
enum OrderEvent {
    Placed {
        cents: u64,
    },
    Paid,
    /// What no process can take.
    Cursed,
}

#[derive(Debug, Clone, Default)]
struct Order;

impl Aggregate for Order {
    const CATEGORY: &'static str = "order";
    type Id = String;
    type Event = OrderEvent;

    fn apply(&mut self, _event: &OrderEvent) {}
}

/// Ships what is paid for within a day, and cancels the rest.
#[derive(Debug, Clone, Default)]
struct Shipping {
    closed: bool,
}

#[derive(Debug, Clone, PartialEq, Event)]
#[event(prefix = "Shipping")]
enum ShippingEvent {
    Begun { cents: u64 },
    Sent,
    GivenUp,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Command {
    Reserve(u64),
    Ship,
    Cancel,
}

impl Aggregate for Shipping {
    const CATEGORY: &'static str = "shipping";
    type Id = String;
    type Event = ShippingEvent;

    fn apply(&mut self, event: &ShippingEvent) {
        self.closed = !matches!(event, ShippingEvent::Begun { .. });
    }
}

impl Process for Shipping {
    type Inputs = OrderEvent;
    type Command = Command;

    fn instance(input: &TypedEvent<OrderEvent>) -> Option<String> {
        input.stream.as_str().strip_prefix("order-").map(str::to_owned)
    }

    fn react(&self, input: &TypedEvent<OrderEvent>) -> Vec<ShippingEvent> {
        match input.data {
            OrderEvent::Placed { cents } => vec![ShippingEvent::Begun { cents }],
            OrderEvent::Paid if self.closed => vec![],
            OrderEvent::Paid => vec![ShippingEvent::Sent],
            OrderEvent::Cursed => panic!("a curse"),
        }
    }

    fn wake(&self, timer: &str) -> Vec<ShippingEvent> {
        assert_eq!(timer, "payment");
        vec![ShippingEvent::GivenUp]
    }

    fn effects(_id: &str, event: &ShippingEvent) -> Vec<Effect<Command>> {
        match event {
            ShippingEvent::Begun { cents } => {
                vec![Effect::Send(Command::Reserve(*cents)), Effect::WakeAfter("payment", 24 * HOUR)]
            }
            ShippingEvent::Sent => vec![Effect::Cancel("payment"), Effect::Send(Command::Ship)],
            ShippingEvent::GivenUp => vec![Effect::Send(Command::Cancel)],
        }
    }
}

fn order(id: &str, event: &OrderEvent) -> Draft {
    Draft::of::<Order>(&id.to_owned(), event)
}

async fn happen(log: &Log, events: &[(&str, OrderEvent)]) {
    for (id, event) in events {
        log.repository::<Order>()
            .decide(&(*id).to_owned(), |_| Ok::<_, std::convert::Infallible>(vec![event.clone()]))
            .await
            .unwrap();
    }
}

const PLACED: OrderEvent = OrderEvent::Placed { cents: 5 };

/// What was sent: the command, its id, and the instance.
type Sent = Arc<Mutex<Vec<(Command, EventId, String)>>>;

/// Notes each command, and fails for those of an instance `bad`.
fn noting(sent: &Sent) -> impl Fn(Command, Cause) -> std::future::Ready<Result<(), HandlerError>> + Send + Sync + 'static {
    let sent = sent.clone();
    move |command, cause| {
        if cause.event.stream.as_str() == "shipping-bad" {
            return std::future::ready(Err("nobody is there".into()));
        }
        sent.lock().unwrap().push((command, cause.id, cause.event.stream.to_string()));
        std::future::ready(Ok(()))
    }
}

const TWICE: Backoff = Backoff { first: Duration::from_millis(1), longest: Duration::from_millis(1), tries: 2 };

async fn start(log: &Log, clock: &ManualClock, sent: &Sent, shutdown: &CancellationToken) -> RunningProcess {
    let runner = log.process::<Shipping, _, _>(noting(sent)).clock(clock.clone()).backoff(TWICE).member("the same");
    runner.start(shutdown).await.unwrap()
}

async fn until(is_so: impl Fn() -> bool) {
    for _ in 0..4_000 {
        if is_so() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("it did not come about");
}

/// Looks until so many commands were sent.
async fn until_sent(sent: &Sent, count: usize) -> Vec<(Command, String)> {
    for _ in 0..2_000 {
        let commands: Vec<_> =
            sent.lock().unwrap().iter().map(|(command, _, stream)| (command.clone(), stream.clone())).collect();
        if count <= commands.len() {
            return commands;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("{count} commands did not come: {:?}", sent.lock().unwrap());
}

fn clock() -> ManualClock {
    ManualClock::new("2026-11-23T09:30:00Z".parse().unwrap())
}

fn world() -> (Log, ManualClock, Sent, CancellationToken) {
    let clock = clock();
    (Log::new(MemoryStore::with_clock(clock.clone())), clock, Sent::default(), CancellationToken::new())
}

async fn own_events(log: &Log) -> Vec<(String, ShippingEvent)> {
    let mut own = Vec::new();
    let mut pages = log.read(Read::new(Query::from(Selector::category("shipping".parse().unwrap()))));
    while let Some(page) = pages.next().await.unwrap() {
        own.extend(page.events.iter().map(|event| (event.stream.to_string(), event.decode().unwrap().unwrap())));
    }
    own
}

#[test]
fn a_process_is_checked_without_a_store_and_with_a_clock_of_the_tests() {
    given_process::<Shipping>("1", [])
        .when(order("1", &PLACED))
        .then([ShippingEvent::Begun { cents: 5 }])
        .then_sends([Command::Reserve(5)])
        .and()
        .after(23 * HOUR)
        .then_nothing()
        .and()
        .after(HOUR)
        .then([ShippingEvent::GivenUp])
        .then_sends([Command::Cancel])
        .and()
        .when(order("1", &OrderEvent::Paid))
        .then_nothing();
    given_process::<Shipping>("1", [ShippingEvent::Begun { cents: 5 }])
        .when(order("1", &OrderEvent::Paid))
        .then([ShippingEvent::Sent])
        .and()
        .after(48 * HOUR)
        .then_nothing();
}

#[tokio::test]
async fn inputs_become_events_and_commands_in_order_per_instance() {
    let (log, clock, sent, shutdown) = world();
    happen(&log, &[("1", PLACED), ("2", PLACED), ("1", OrderEvent::Paid)]).await;
    let running = start(&log, &clock, &sent, &shutdown).await;
    let mut commands = until_sent(&sent, 3).await;
    commands.sort();
    let one = |command| (command, "shipping-1".to_owned());
    assert_eq!(commands, [one(Command::Reserve(5)), (Command::Reserve(5), "shipping-2".to_owned()), one(Command::Ship)]);
    happen(&log, &[("2", OrderEvent::Paid)]).await;
    until_sent(&sent, 4).await;
    assert_eq!(own_events(&log).await.len(), 4);
    shutdown.cancel();
    tokio::time::timeout(PATIENCE, running.ended()).await.unwrap();
}

#[tokio::test]
async fn timers_outlive_a_restart_and_those_that_came_due_in_between_go_off() {
    let (log, clock, sent, shutdown) = world();
    happen(&log, &[("1", PLACED), ("2", PLACED), ("2", OrderEvent::Paid)]).await;
    let running = start(&log, &clock, &sent, &shutdown).await;
    until_sent(&sent, 3).await;
    assert_eq!(running.status().timers, 1);
    shutdown.cancel();
    running.ended().await;

    clock.advance(25 * HOUR);
    let shutdown = CancellationToken::new();
    let running = start(&log, &clock, &sent, &shutdown).await;
    let commands = until_sent(&sent, 4).await;
    assert_eq!(commands[3], (Command::Cancel, "shipping-1".to_owned()));
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(running.status().timers, 0);
    assert_eq!(sent.lock().unwrap().len(), 4, "it went off once, and the cancelled one never");
}

#[tokio::test]
async fn an_instance_in_trouble_holds_nobody_else_up_and_goes_on_when_it_is_released() {
    let (log, clock, sent, shutdown) = world();
    happen(&log, &[("1", OrderEvent::Cursed), ("1", PLACED), ("2", PLACED)]).await;
    let running = start(&log, &clock, &sent, &shutdown).await;
    assert_eq!(until_sent(&sent, 1).await, [(Command::Reserve(5), "shipping-2".to_owned())]);
    let mut status = running.watch();
    let troubled = status.wait_for(|status| !status.troubled.is_empty()).await.unwrap().troubled.clone();
    let troubled = &troubled["shipping-1"];
    assert_eq!(
        (troubled.error.as_str(), troubled.inputs.as_slice()),
        ("it panicked: a curse", [Position::new(1), Position::new(2)].as_slice())
    );
    // It fails again, and waits again.
    running.release::<Shipping>(&"1".to_owned()).await.unwrap();
    status.wait_for(|status| status.troubled.get("shipping-1").is_some_and(|troubled| !troubled.released)).await.unwrap();
    happen(&log, &[("1", OrderEvent::Paid)]).await;
    status.wait_for(|status| status.troubled["shipping-1"].inputs.len() == 3).await.unwrap();
    assert_eq!(own_events(&log).await.len(), 1);
}

#[tokio::test]
async fn commands_that_fail_are_parked_with_the_later_ones_of_their_instance() {
    let (log, clock, sent, shutdown) = world();
    happen(&log, &[("bad", PLACED), ("bad", OrderEvent::Paid), ("2", PLACED)]).await;
    let running = start(&log, &clock, &sent, &shutdown).await;
    assert_eq!(until_sent(&sent, 1).await, [(Command::Reserve(5), "shipping-2".to_owned())]);
    let mut parked = Vec::new();
    for _ in 0..400 {
        parked = running.group().status().await.unwrap().parked;
        if parked.len() == 2 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(parked.iter().map(|parked| parked.error.as_str()).collect::<Vec<_>>(), ["nobody is there", ""]);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_that_run_one_process_record_each_event_once() {
    let (log, clock, sent, shutdown) = world();
    let _one = log.process::<Shipping, _, _>(noting(&sent)).clock(clock.clone()).start(&shutdown).await.unwrap();
    let _two = log.process::<Shipping, _, _>(noting(&sent)).clock(clock.clone()).start(&shutdown).await.unwrap();
    for n in 0..40 {
        happen(&log, &[(&format!("{n}"), PLACED)]).await;
    }
    for n in 0..20 {
        happen(&log, &[(&format!("{n}"), OrderEvent::Paid)]).await;
    }
    // A command may be sent twice, while they share the work anew; its id is the same then.
    let ids = || sent.lock().unwrap().iter().map(|(_, id, _)| *id).collect::<BTreeSet<_>>().len();
    until(|| 60 <= ids()).await;
    clock.advance(25 * HOUR);
    until(|| 80 <= ids()).await;
    assert_eq!((own_events(&log).await.len(), ids()), (80, 80));
}

/// A store that is never heard of again from an operation on.
struct Killed {
    store: AnyStore,
    left: AtomicU64,
    done: Arc<AtomicU64>,
    killed: CancellationToken,
}

impl Killed {
    async fn operation<T>(&self, operation: impl Future<Output = T>) -> T {
        self.done.fetch_add(1, Ordering::SeqCst);
        let left = self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| Some(left.saturating_sub(1))).unwrap();
        if 1 < left {
            return operation.await;
        }
        if left == 1 {
            // It is done, and nobody hears of it.
            operation.await;
        }
        self.killed.cancel();
        std::future::pending().await
    }
}

impl Store for Killed {
    async fn append(&self, append: Append) -> Result<Appended, AppendError> {
        self.operation(self.store.append(append)).await
    }
    async fn read(&self, read: Read) -> Result<Page, StoreError> {
        self.store.read(read).await
    }
    async fn head(&self) -> Result<Position, StoreError> {
        self.store.head().await
    }
    async fn changed(&self, after: Position) {
        self.store.changed(after).await;
    }
    async fn streams(&self, read: ReadStreams) -> Result<StreamsPage, StoreError> {
        self.store.streams(read).await
    }
    async fn consumed(&self, consumer: factum::ConsumerName) -> Result<Position, StoreError> {
        self.store.consumed(consumer).await
    }
}

/// Runs it to the end, killed after so many appends, and started again; the events, and the ids of what was sent.
fn run_killed(after: u64) -> (Vec<(String, ShippingEvent)>, BTreeSet<EventId>, u64) {
    let (log, clock, sent, shutdown) = world();
    let (killed, done) = (CancellationToken::new(), Arc::new(AtomicU64::new(0)));
    let store = Killed { store: log.store().clone(), left: AtomicU64::new(after), done: done.clone(), killed: killed.clone() };
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let inputs = [("1", PLACED), ("2", PLACED), ("2", OrderEvent::Paid), ("3", PLACED), ("3", OrderEvent::Paid)];
    let first = runtime();
    first.block_on(async {
        for (number, (id, event)) in inputs.iter().enumerate() {
            // With an id that is the same in each run.
            let key = format!("00000000-0000-0000-0000-{number:012}").parse().unwrap();
            happen(&log.once(key), &[(id, event.clone())]).await;
        }
        let life = async {
            start(&Log::new(store), &clock, &sent, &shutdown).await;
            until_sent(&sent, 5).await;
            clock.advance(25 * HOUR);
            until_sent(&sent, 6).await;
        };
        let _ = killed.run_until_cancelled(life).await;
    });
    first.shutdown_background();
    let second = runtime();
    let own = second.block_on(async {
        clock.advance(25 * HOUR);
        start(&log, &clock, &sent, &shutdown).await;
        while sent.lock().unwrap().iter().map(|(_, id, _)| *id).collect::<BTreeSet<_>>().len() < 6 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        own_events(&log).await
    });
    let ids = sent.lock().unwrap().iter().map(|(_, id, _)| *id).collect();
    (own, ids, done.load(Ordering::SeqCst))
}

#[test]
fn events_and_ids_of_commands_are_the_same_wherever_it_is_killed() {
    let (events, ids, appends) = run_killed(u64::MAX);
    assert_eq!((events.len(), ids.len()), (6, 6));
    for after in 1..=appends {
        let (killed_events, killed_ids, _) = run_killed(after);
        let sorted = |mut events: Vec<(String, ShippingEvent)>| {
            events.sort_by_key(|(stream, event)| (stream.clone(), format!("{event:?}")));
            events
        };
        assert_eq!(sorted(killed_events), sorted(events.clone()), "killed after append {after}");
        assert_eq!(killed_ids, ids, "killed after append {after}");
    }
}

#[tokio::test]
async fn what_is_decided_once_is_answered_with_the_original_and_decided_no_more() {
    let log = Log::new(MemoryStore::new());
    let key = EventId::new();
    let orders = log.once(key).repository::<Order>();
    let id = "1".to_owned();
    let first = orders.decide(&id, |_| Ok::<_, ()>(vec![PLACED, OrderEvent::Paid])).await.unwrap();
    happen(&log, &[("1", OrderEvent::Paid)]).await;
    let again = orders.decide(&id, |_| Err::<Vec<_>, _>("it is not to be decided")).await.unwrap();
    assert_eq!((again.events, again.version, again.appended), (first.events, first.version, first.appended));
    let other = log.once(key).decide((), |()| Err::<Vec<Draft>, _>("nor here")).await.unwrap();
    assert_eq!(other.unwrap().positions.through, Position::new(2));
    assert_eq!(log.head().await.unwrap(), Position::new(3));
    let recorded = log.store().read(Read::new(Query::from(Selector::from(Scope::Event(key))))).await.unwrap();
    assert_eq!(recorded.events.len(), 0, "the key is no id of an event itself");
}
