//! Timers: set, replaced, cancelled, and gone off, over restarts.

use std::time::Duration;

use factum::testing::ManualClock;
use factum::{Aggregate, Clock, Dispatch, Effect, Event, Log, MemoryStore, Process, RunningProcess, Timestamp, TypedEvent};
use tokio_util::sync::CancellationToken;

use super::fulfilment::{HOUR, clock, handled, recorded};
use crate::watched::Watched;

/// What an alarm clock is told.
#[derive(Debug, Clone, PartialEq, Event)]
#[event(prefix = "Alarm")]
enum Told {
    In {
        #[event(tag)]
        bed: String,
        timer: String,
        seconds: u64,
    },
    At {
        #[event(tag)]
        bed: String,
        timer: String,
        micros: i64,
    },
    Off {
        #[event(tag)]
        bed: String,
        timer: String,
    },
    /// Only noted.
    Noted {
        #[event(tag)]
        bed: String,
    },
}

#[derive(Debug, Clone, PartialEq, Event)]
#[event(prefix = "Clock")]
enum ClockEvent {
    SetIn { timer: String, seconds: u64 },
    SetAt { timer: String, micros: i64 },
    Off { timer: String },
    Noted { rings: u32 },
    Rang { timer: String },
}

#[derive(Debug, Clone, Default)]
struct AlarmClock {
    rings: u32,
}

impl Aggregate for AlarmClock {
    const CATEGORY: &'static str = "clock";
    type Id = String;
    type Event = ClockEvent;

    fn apply(&mut self, event: &ClockEvent) {
        self.rings += u32::from(matches!(event, ClockEvent::Rang { .. }));
    }
}

impl Process for AlarmClock {
    type Inputs = Told;
    type Command = ();

    fn instance(input: &TypedEvent<Told>) -> Option<String> {
        let (Told::In { bed, .. } | Told::At { bed, .. } | Told::Off { bed, .. } | Told::Noted { bed }) = &input.data;
        Some(bed.clone())
    }

    fn react(&self, input: &TypedEvent<Told>) -> Vec<ClockEvent> {
        vec![match input.data.clone() {
            Told::In { timer, seconds, .. } => ClockEvent::SetIn { timer, seconds },
            Told::At { timer, micros, .. } => ClockEvent::SetAt { timer, micros },
            Told::Off { timer, .. } => ClockEvent::Off { timer },
            Told::Noted { .. } => ClockEvent::Noted { rings: self.rings },
        }]
    }

    fn wake(&self, timer: &str) -> Vec<ClockEvent> {
        if timer == "silent" { vec![] } else { vec![ClockEvent::Rang { timer: timer.to_owned() }] }
    }

    fn effects(event: &TypedEvent<ClockEvent>) -> Vec<Effect<()>> {
        match event.data.clone() {
            ClockEvent::SetIn { timer, seconds } => vec![Effect::wake_after(timer, Duration::from_secs(seconds))],
            ClockEvent::SetAt { timer, micros } => vec![Effect::wake_at(timer, Timestamp::from_micros(micros))],
            ClockEvent::Off { timer } => vec![Effect::cancel(timer)],
            ClockEvent::Noted { .. } | ClockEvent::Rang { .. } => vec![],
        }
    }
}

fn set(timer: &str, seconds: u64) -> Told {
    Told::In { bed: "1".to_owned(), timer: timer.to_owned(), seconds }
}

fn set_at(timer: &str, at: Timestamp) -> Told {
    Told::At { bed: "1".to_owned(), timer: timer.to_owned(), micros: at.as_micros() }
}

fn off(timer: &str) -> Told {
    Told::Off { bed: "1".to_owned(), timer: timer.to_owned() }
}

fn noted() -> Told {
    Told::Noted { bed: "1".to_owned() }
}

struct Bedroom {
    memory: MemoryStore,
    log: Log,
    clock: ManualClock,
    shutdown: CancellationToken,
    running: Option<RunningProcess>,
}

impl Bedroom {
    fn new() -> Self {
        let clock = clock();
        let memory = MemoryStore::with_clock(clock.clone());
        Self { log: Log::new(memory.clone()), memory, clock, shutdown: CancellationToken::new(), running: None }
    }

    async fn with(events: impl IntoIterator<Item = Told>) -> Self {
        let mut bedroom = Self::new();
        bedroom.start().await;
        bedroom.told(events).await;
        bedroom.handled().await;
        bedroom
    }

    /// Starts the process; what the store is asked for.
    async fn start(&mut self) -> Watched {
        let store = Watched::new(&self.memory);
        let process = Log::new(store.clone()).process(|_: Dispatch<AlarmClock>| async { Ok(()) });
        self.running = Some(process.clock(self.clock.clone()).member("1").start(&self.shutdown).await.unwrap());
        store
    }

    async fn stop(&mut self) {
        self.shutdown.cancel();
        self.running.take().unwrap().ended().await.unwrap();
        self.shutdown = CancellationToken::new();
    }

    async fn told(&self, events: impl IntoIterator<Item = Told>) {
        for event in events {
            self.log.decide((), |()| Ok::<_, std::convert::Infallible>([factum::Draft::from(event.clone())])).await.unwrap();
        }
    }

    async fn handled(&self) {
        handled(self.running.as_ref().unwrap(), &self.log).await;
    }

    /// A moment, in which what is due goes off.
    async fn moment(&self) {
        tokio::time::sleep(Duration::from_secs(2)).await;
        self.handled().await;
    }

    /// What rang, and what was noted, in order.
    async fn rang(&self) -> Vec<String> {
        let mut rang = Vec::new();
        for event in recorded(&self.log, "clock").await {
            match event.decode::<ClockEvent>().unwrap() {
                Some(ClockEvent::Rang { timer }) => rang.push(timer),
                Some(ClockEvent::Noted { rings }) => rang.push(format!("noted after {rings}")),
                _ => {}
            }
        }
        rang
    }
}

#[tokio::test(start_paused = true)]
async fn a_timer_of_the_same_name_replaces_the_one_before() {
    let bedroom = Bedroom::with([set("x", 10), set("y", 5), set("x", 30)]).await;
    bedroom.clock.advance(Duration::from_secs(29));
    bedroom.moment().await;
    assert_eq!(bedroom.rang().await, ["y"]);
    bedroom.clock.advance(Duration::from_secs(1));
    bedroom.moment().await;
    assert_eq!(bedroom.rang().await, ["y", "x"]);
    bedroom.clock.advance(HOUR);
    bedroom.moment().await;
    assert_eq!(bedroom.rang().await, ["y", "x"], "once");
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_timer_never_goes_off() {
    let mut bedroom = Bedroom::with([set("x", 10), off("x"), off("y"), set("silent", 1)]).await;
    bedroom.stop().await;
    bedroom.clock.advance(HOUR);
    bedroom.start().await;
    bedroom.moment().await;
    assert_eq!(bedroom.rang().await, Vec::<String>::new());
    assert_eq!(bedroom.running.as_ref().unwrap().status().timers, 0);
    let fired = recorded(&bedroom.log, "clock").await;
    assert_eq!(fired.iter().filter(|event| event.event_type.as_str() == "$TimerFired").count(), 1, "the one that led to nothing");
}

#[tokio::test(start_paused = true)]
async fn timers_that_are_due_while_nobody_runs_go_off_at_the_start_in_their_order() {
    let mut bedroom = Bedroom::with([set("c", 30), set("a", 10), set("b", 20), set("d", 7_200)]).await;
    bedroom.stop().await;
    bedroom.clock.advance(HOUR);
    bedroom.start().await;
    bedroom.moment().await;
    assert_eq!(bedroom.rang().await, ["a", "b", "c"]);
    bedroom.stop().await;
    bedroom.start().await;
    bedroom.clock.advance(HOUR);
    bedroom.moment().await;
    assert_eq!(bedroom.rang().await, ["a", "b", "c", "d"]);
}

#[tokio::test(start_paused = true)]
async fn what_happened_before_a_timer_was_due_is_handled_before_it_goes_off_however_late_that_is() {
    let mut bedroom = Bedroom::with([set("x", 10), set("y", 20)]).await;
    bedroom.stop().await;
    bedroom.clock.advance(Duration::from_secs(10));
    bedroom.told([noted()]).await;
    bedroom.clock.advance(Duration::from_secs(1));
    bedroom.told([noted(), off("y")]).await;
    bedroom.clock.advance(HOUR);
    bedroom.start().await;
    bedroom.moment().await;
    assert_eq!(bedroom.rang().await, ["noted after 0", "x", "noted after 1"]);
}

#[tokio::test(start_paused = true)]
async fn a_timer_that_was_due_before_an_input_goes_off_before_it_though_both_are_read_at_once() {
    let mut bedroom = Bedroom::new();
    bedroom.told([set("x", 10)]).await;
    bedroom.clock.advance(Duration::from_secs(11));
    bedroom.told([noted()]).await;
    bedroom.clock.advance(HOUR);
    bedroom.start().await;
    bedroom.moment().await;
    assert_eq!(bedroom.rang().await, ["x", "noted after 1"]);
}

#[tokio::test(start_paused = true)]
async fn a_timer_may_be_of_any_time() {
    let never = Timestamp::from_micros(i64::MAX);
    let bedroom =
        Bedroom::with([set("never", u64::MAX), set_at("nor", never), set_at("long ago", Timestamp::from_micros(i64::MIN))]);
    let bedroom = bedroom.await;
    bedroom.moment().await;
    assert_eq!(bedroom.rang().await, ["long ago"]);
    assert_eq!(bedroom.running.as_ref().unwrap().status().next_timer, Some(never));
    bedroom.told([set_at("x", bedroom.clock.now().later(HOUR))]).await;
    bedroom.moment().await;
    bedroom.clock.advance(HOUR);
    bedroom.moment().await;
    assert_eq!(bedroom.rang().await, ["long ago", "x"]);
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_goes_back_sets_nothing_off_twice() {
    let bedroom = Bedroom::with([set("x", 10)]).await;
    bedroom.clock.advance(Duration::from_secs(10));
    bedroom.moment().await;
    bedroom.clock.set(bedroom.clock.now().earlier(HOUR));
    bedroom.moment().await;
    bedroom.told([set("x", 10)]).await;
    bedroom.handled().await;
    bedroom.clock.advance(2 * HOUR);
    bedroom.moment().await;
    assert_eq!(bedroom.rang().await, ["x", "x"]);
}

#[tokio::test(start_paused = true)]
async fn a_start_reads_back_to_where_timers_were_written_down_and_no_further() {
    let mut bedroom = Bedroom::new();
    let pending: Vec<_> = (0..20).map(|n| set(&format!("pending {n}"), 3_600)).collect();
    bedroom.told(pending).await;
    bedroom.told((0..5_000).map(|n| if n % 2 == 0 { set("x", 10) } else { noted() })).await;
    let catching_up = bedroom.start().await;
    bedroom.handled().await;
    let appends = catching_up.appends.load(std::sync::atomic::Ordering::SeqCst);
    assert!(appends < 100, "{appends} appends for 5,020 inputs");
    bedroom.stop().await;
    let starting = bedroom.start().await;
    bedroom.handled().await;
    let read = starting.events_read.load(std::sync::atomic::Ordering::SeqCst);
    assert!(read < 2_500, "{read} events were read at the start");
    assert_eq!(bedroom.running.as_ref().unwrap().status().timers, 21);
    bedroom.clock.advance(HOUR);
    bedroom.moment().await;
    let rang = bedroom.rang().await;
    assert_eq!(rang.iter().filter(|rang| rang.starts_with("pending") || *rang == "x").count(), 21);
}

#[tokio::test(start_paused = true)]
async fn inputs_that_lead_to_nothing_cost_no_append_each() {
    let clock = clock();
    let memory = MemoryStore::with_clock(clock.clone());
    let (log, store) = (Log::new(memory.clone()), Watched::new(&memory));
    let desk = super::fulfilment::Desk::default();
    let running = desk.process(&Log::new(store.clone())).clock(clock).start(&CancellationToken::new()).await.unwrap();
    for _ in 0..1_500 {
        super::fulfilment::happen(&log, [super::fulfilment::remarked("a")]).await;
        handled(&running, &log).await;
    }
    let appends = store.appends.load(std::sync::atomic::Ordering::SeqCst);
    assert!(appends < 100, "{appends} appends for 1,500 inputs that concern nobody");
    let consumed = factum::Store::consumed(&memory, "$process-fulfilment".parse().unwrap()).await.unwrap();
    assert!(1_000 <= consumed.get(), "{consumed} is all that a restart need not read again");
}
