//! Others who write to an instance at the very moment that a test names.

use factum::{Log, MemoryStore};
use tokio_util::sync::CancellationToken;

use super::fulfilment::{Command, Desk, Fulfilment, FulfilmentEvent, HOUR, clock, handled, happen, own, paid, placed, settled};
use crate::watched::{At, Fate, Fault, Watched};

/// What happens to an order when somebody else writes this to its instance, just before this event is recorded.
async fn in_between(before: &'static str, written: FulfilmentEvent, fault: Fault) -> Vec<String> {
    let clock = clock();
    let memory = MemoryStore::with_clock(clock.clone());
    let (log, desk) = (Log::new(memory.clone()), Desk::default());
    let store = Watched::new(&memory).with(fault).at(At::AppendOf(before), Fate::Sleep);
    let process = desk.process(&Log::new(store.clone())).clock(clock.clone());
    let running = process.start(&CancellationToken::new()).await.unwrap();
    happen(&log, [placed("a")]).await;
    handled(&running, &log).await;
    if before == "$TimerFired" {
        clock.advance(HOUR);
    } else {
        happen(&log, [paid("a", 100)]).await;
    }
    store.met().await;
    let write = |_: &Fulfilment| Ok::<_, std::convert::Infallible>(vec![written.clone()]);
    log.repository::<Fulfilment>().decide(&"a".to_owned(), write).await.unwrap();
    store.wake();
    settled(&running, &log, &desk).await;
    own(&log, "a").await
}

#[tokio::test(start_paused = true)]
async fn an_input_happens_to_what_an_instance_has_become() {
    let outcome = in_between("FulfilmentReceived", FulfilmentEvent::GivenUp, Fault::None).await;
    assert_eq!(outcome, ["Begun", "GivenUp"]);
    let unchecked = in_between("FulfilmentReceived", FulfilmentEvent::GivenUp, Fault::Unchecked).await;
    assert_eq!(unchecked, ["Begun", "GivenUp", "Received", "Shipped"], "the control");
}

#[tokio::test(start_paused = true)]
async fn a_timer_that_is_cancelled_just_before_it_goes_off_does_not() {
    let cancelled = in_between("$TimerFired", FulfilmentEvent::Shipped { cents: 0 }, Fault::None).await;
    assert_eq!(cancelled, ["Begun", "Shipped"]);
    let unchecked = in_between("$TimerFired", FulfilmentEvent::Shipped { cents: 0 }, Fault::Unchecked).await;
    assert_eq!(unchecked, ["Begun", "Shipped", "$TimerFired", "Reminded"], "the control");
}

#[tokio::test(start_paused = true)]
async fn own_events_that_others_write_have_effects_too() {
    let log = Log::new(MemoryStore::new());
    let desk = Desk::default();
    let running = desk.process(&log).start(&CancellationToken::new()).await.unwrap();
    let begin = |_: &Fulfilment| Ok::<_, std::convert::Infallible>(vec![FulfilmentEvent::Begun]);
    log.repository::<Fulfilment>().decide(&"a".to_owned(), begin).await.unwrap();
    settled(&running, &log, &desk).await;
    assert_eq!(desk.of("a"), [Command::Invoice]);
    assert_eq!(running.status().timers, 1);
}
