//! A process that is killed, fails or stands still anywhere: the same own events, and the same effects.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use factum::testing::ManualClock;
use factum::{EventId, Log, MemoryStore};
use tokio_util::sync::CancellationToken;

use super::fulfilment::{
    Command, Desk, HOUR, OrderEvent, clock, due, happen_once, mend, paid, placed, poison, recorded, remarked, withdrawn,
};
use crate::watched::{At, Fate, Fault, Watched};

/// What happens from hour to hour. One order makes the process panic, until it is mended and released in the fourth.
fn day() -> [Vec<OrderEvent>; 5] {
    [
        vec![placed("a"), placed("b"), paid("a", 40), placed("x"), remarked("a"), placed("c"), paid("b", 100)],
        vec![paid("a", 30), remarked("b"), paid("x", 50), placed("d"), withdrawn("c"), paid("c", 100)],
        vec![paid("a", 30), paid("x", 30), paid("d", 10)],
        vec![paid("x", 20)],
        vec![],
    ]
}

/// What is left of a day: own events by stream, effects, and what came of them.
#[derive(Debug, PartialEq)]
struct Outcome {
    own: ByStream,
    effects: BTreeSet<(String, EventId, Command)>,
    deeds: ByStream,
}

/// A day with a program that sees the store like this, and another one beside it once that has met its fate.
async fn outcome(first: impl FnOnce(&MemoryStore) -> Watched, fault: Fault, careless: bool) -> (Outcome, Watched, Desk) {
    poison("x");
    let (clock, desk) = (clock(), if careless { Desk::careless() } else { Desk::default() });
    let memory = MemoryStore::with_clock(clock.clone());
    let (log, first) = (Log::new(memory.clone()), first(&memory));
    let sleeps = first.fate() == Some(Fate::Sleep);
    let over = CancellationToken::new();
    tokio::spawn(supervise(desk.clone(), first.clone(), clock.clone(), "first", over.clone()));
    if matches!(first.fate(), Some(Fate::DeathBefore | Fate::DeathAfter | Fate::Sleep)) {
        let second = Watched::new(&memory).with(fault);
        let (desk, first, clock, over) = (desk.clone(), first.clone(), clock.clone(), over.clone());
        tokio::spawn(async move {
            first.met().await;
            supervise(desk, second, clock, if sleeps { "second" } else { "first" }, over).await;
        });
    }
    for (hour, events) in day().iter().enumerate() {
        if hour == 3 {
            mend("x");
            log.quarantine("fulfilment").unwrap().release(&"fulfilment-x".parse().unwrap()).await.unwrap();
            settle(&log, &desk).await;
        }
        for (index, event) in events.iter().enumerate() {
            happen_once(&log, &format!("{hour}/{index}"), event).await;
            // In some hours one after the other, in others all at once.
            tokio::time::sleep(Duration::from_millis(if hour % 2 == 1 { 10 } else { 0 })).await;
        }
        settle(&log, &desk).await;
        clock.advance(HOUR);
        settle(&log, &desk).await;
    }
    first.wake();
    settle(&log, &desk).await;
    over.cancel();
    let (own, deeds) = (by_stream(&log, "fulfilment").await, by_stream(&log, "deed").await);
    (Outcome { own, effects: desk.effects(), deeds }, first, desk)
}

type ByStream = BTreeMap<String, Vec<(EventId, String, Option<EventId>)>>;

async fn by_stream(log: &Log, category: &str) -> ByStream {
    let mut streams = ByStream::new();
    for event in recorded(log, category).await {
        let what = format!("{} {:?}", event.event_type, event.payload.data);
        streams.entry(event.stream.to_string()).or_default().push((event.id, what, event.metadata.causation_id));
    }
    streams
}

/// Until it is quiet: a member that sleeps is missed after half a minute.
async fn settle(log: &Log, desk: &Desk) {
    for _ in 0..12 {
        tokio::time::sleep(Duration::from_secs(4)).await;
        if due(log).await.len() <= desk.effects().len() {
            break;
        }
    }
}

/// Runs the process, and starts it again where it ends before its time.
async fn supervise(desk: Desk, store: Watched, clock: ManualClock, member: &str, over: CancellationToken) {
    let log = Log::new(store);
    while !over.is_cancelled() {
        if let Ok(running) = desk.process(&log).clock(clock.clone()).member(member).start(&over).await {
            let _ = running.ended().await;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

async fn undisturbed() -> (Outcome, usize) {
    let (outcome, watched, desk) = outcome(Watched::new, Fault::None, false).await;
    assert_eq!(desk.sent(), outcome.effects.len());
    let own = outcome.own.iter().map(|(stream, events)| (stream.as_str(), events.len())).collect::<Vec<_>>();
    let streams = ["a", "b", "c", "d", "x"].map(|order| format!("fulfilment-{order}"));
    assert_eq!(own, streams.iter().map(String::as_str).zip([9, 3, 4, 8, 9]).collect::<Vec<_>>(), "{outcome:#?}");
    assert_eq!(outcome.deeds.values().map(Vec::len).sum::<usize>(), outcome.effects.len());
    (outcome, watched.calls())
}

/// Whether the outcome is the same when this happens at any call; how often commands were sent again.
async fn same_outcome(fate: Fate, fault: Fault) -> Result<usize, String> {
    same_outcome_of(fate, fault, false).await
}

async fn same_outcome_of(fate: Fate, fault: Fault, careless: bool) -> Result<usize, String> {
    let (expected, calls) = undisturbed().await;
    let mut repeats = 0;
    for call in 0..calls {
        let (actual, _, desk) =
            outcome(|memory| Watched::new(memory).with(fault).at(At::Call(call), fate), fault, careless).await;
        if actual != expected {
            return Err(format!("{fate:?} at call {call} of {calls}: {actual:#?}\nand not {expected:#?}"));
        }
        repeats += desk.sent() - actual.effects.len();
    }
    Ok(repeats)
}

#[tokio::test(start_paused = true)]
async fn a_process_that_is_killed_anywhere_has_the_same_events_and_effects() {
    let before = same_outcome(Fate::DeathBefore, Fault::None).await.unwrap();
    let after = same_outcome(Fate::DeathAfter, Fault::None).await.unwrap();
    assert!(0 < before + after, "no command was sent twice: then the ids of effects were not needed");
}

#[tokio::test(start_paused = true)]
async fn a_store_that_fails_anywhere_changes_nothing() {
    same_outcome(Fate::Failure, Fault::None).await.unwrap();
    same_outcome(Fate::AnswerLost, Fault::None).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_program_that_stands_still_anywhere_finds_another_at_work_when_it_wakes() {
    same_outcome(Fate::Sleep, Fault::None).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_store_that_forgets_what_is_handled_is_caught() {
    assert!(same_outcome(Fate::DeathAfter, Fault::Forgets).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_store_that_marks_inputs_before_their_events_is_caught() {
    assert!(same_outcome(Fate::DeathAfter, Fault::MarksFirst).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_does_not_go_by_the_ids_of_effects_is_caught() {
    let doubled = same_outcome_of(Fate::DeathAfter, Fault::None, true).await;
    assert!(doubled.is_err());
}
