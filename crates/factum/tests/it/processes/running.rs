//! A process that runs: inputs become own events, and those commands and timers.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use factum::{Backoff, Dispatch, Log, MemoryStore, ProcessError, Store};
use tokio_util::sync::CancellationToken;

use super::fulfilment::{Command, Desk, Fulfilment, HOUR, clock, happen, own, paid, placed, poison, recorded, remarked, settled};

#[tokio::test(start_paused = true)]
async fn inputs_become_own_events_and_those_commands() {
    let clock = clock();
    let log = Log::new(MemoryStore::with_clock(clock.clone()));
    let desk = Desk::default();
    happen(&log, [placed("a"), paid("a", 40), placed("b"), remarked("b")]).await;
    let shutdown = CancellationToken::new();
    let running = desk.process(&log).clock(clock).start(&shutdown).await.unwrap();
    settled(&running, &log, &desk).await;
    happen(&log, [paid("a", 60), paid("a", 1), paid("b", 1)]).await;
    settled(&running, &log, &desk).await;
    assert_eq!(own(&log, "a").await, ["Begun", "Received", "Received", "Shipped"]);
    assert_eq!(own(&log, "b").await, ["Begun", "Received"]);
    assert_eq!(desk.of("a"), [Command::Invoice, Command::Thank { cents: 40 }, Command::Thank { cents: 60 }, Command::Ship]);
    let status = running.status();
    assert_eq!((status.timers, status.lag_events()), (1, 0));
    shutdown.cancel();
    running.ended().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn own_events_say_what_caused_them() {
    let log = Log::new(MemoryStore::new());
    let shutdown = CancellationToken::new();
    let desk = Desk::default();
    let running = desk.process(&log).start(&shutdown).await.unwrap();
    happen(&log, [placed("a")]).await;
    settled(&running, &log, &desk).await;
    let (cause, own) = (&recorded(&log, "order").await[0], &recorded(&log, "fulfilment").await[0]);
    assert_eq!(own.metadata.causation_id, Some(cause.id));
    assert_eq!(own.metadata.correlation_id, Some(cause.id.to_string()));
    assert_eq!(own.tags, ["fulfilment:a".parse().unwrap()]);
}

#[tokio::test(start_paused = true)]
async fn a_timer_goes_off_when_it_is_due_and_not_before() {
    let clock = clock();
    let log = Log::new(MemoryStore::with_clock(clock.clone()));
    let desk = Desk::default();
    let running = desk.process(&log).clock(clock.clone()).start(&CancellationToken::new()).await.unwrap();
    happen(&log, [placed("a"), placed("b")]).await;
    settled(&running, &log, &desk).await;
    clock.advance(HOUR - Duration::from_micros(1));
    happen(&log, [paid("b", 100)]).await;
    settled(&running, &log, &desk).await;
    assert_eq!(own(&log, "a").await, ["Begun"]);
    for events in [3, 5, 7] {
        clock.advance(HOUR);
        let head = log.head().await.unwrap();
        log.store().changed(head).await;
        settled(&running, &log, &desk).await;
        assert_eq!(own(&log, "a").await.len(), events);
    }
    let events = ["Begun", "$TimerFired", "Reminded", "$TimerFired", "Reminded", "$TimerFired", "GivenUp"];
    assert_eq!(own(&log, "a").await, events);
    assert_eq!(own(&log, "b").await, ["Begun", "Received", "Shipped"]);
}

#[tokio::test(start_paused = true)]
async fn of_two_programs_one_handles_inputs_and_the_other_takes_over() {
    let log = Log::new(MemoryStore::new());
    let desk = Desk::default();
    let shutdown = CancellationToken::new();
    let first = desk.process(&log).member("1").start(&shutdown).await.unwrap();
    let second = desk.process(&log).member("2").start(&CancellationToken::new()).await.unwrap();
    for order in ["a", "b", "c", "d"] {
        happen(&log, [placed(order), paid(order, 100)]).await;
        settled(&second, &log, &desk).await;
        settled(&first, &log, &desk).await;
    }
    shutdown.cancel();
    first.ended().await.unwrap();
    happen(&log, [placed("e"), paid("e", 100)]).await;
    settled(&second, &log, &desk).await;
    for order in ["a", "b", "c", "d", "e"] {
        assert_eq!(own(&log, order).await, ["Begun", "Received", "Shipped"]);
        assert_eq!(desk.of(order), [Command::Invoice, Command::Thank { cents: 100 }, Command::Ship]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_process_may_begin_at_what_happens_from_now_on() {
    let log = Log::new(MemoryStore::new());
    let desk = Desk::default();
    let now = happen(&log, [placed("before")]).await;
    let running = desk.process(&log).after(now).start(&CancellationToken::new()).await.unwrap();
    happen(&log, [placed("since")]).await;
    settled(&running, &log, &desk).await;
    assert_eq!((own(&log, "before").await.len(), own(&log, "since").await.len()), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn a_command_that_fails_is_sent_again_and_then_holds_its_own_instance_back() {
    let log = Log::new(MemoryStore::new());
    let carried_out = Desk::default();
    let attempts = Arc::new(Mutex::new(Vec::new()));
    let (seen, done) = (attempts.clone(), carried_out.clone());
    let process = log.process(move |dispatch: Dispatch<Fulfilment>| {
        let (seen, done) = (seen.clone(), done.clone());
        async move {
            if dispatch.cause.stream.as_str() == "fulfilment-a" {
                seen.lock().unwrap().push((dispatch.id, dispatch.attempt));
                return Err("the post office is closed".into());
            }
            done.take(&dispatch);
            Ok(())
        }
    });
    let running = process.backoff(Backoff { tries: 3, ..Backoff::SHORT }).start(&CancellationToken::new()).await.unwrap();
    happen(&log, [placed("a"), placed("b"), paid("a", 100), paid("b", 100)]).await;
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!(carried_out.of("b"), [Command::Invoice, Command::Thank { cents: 100 }, Command::Ship]);
    let attempts = attempts.lock().unwrap().clone();
    assert_eq!(attempts.iter().map(|(_, attempt)| *attempt).collect::<Vec<_>>(), [1, 2, 3]);
    assert!(attempts.iter().all(|(id, _)| *id == attempts[0].0), "one effect, one id");
    let parked = running.group().status().await.unwrap().parked;
    assert_eq!(parked.iter().map(|parked| parked.error.as_str()).collect::<Vec<_>>(), ["the post office is closed", "", ""]);
}

#[tokio::test(start_paused = true)]
async fn a_process_whose_instances_all_fail_ends_and_says_so() {
    let log = Log::new(MemoryStore::new());
    let orders: Vec<String> = (0..1_001).map(|n| format!("poison-{n}")).collect();
    orders.iter().for_each(|order| poison(order));
    happen(&log, orders.iter().map(|order| paid(order, 1))).await;
    let running = Desk::default().process(&log).start(&CancellationToken::new()).await.unwrap();
    let ended = running.ended().await;
    assert!(matches!(&ended, Err(ProcessError::Quarantined { error, .. }) if error.contains("is poison")), "{ended:?}");
}

#[tokio::test(start_paused = true)]
async fn other_settings_of_a_process_are_taken_up_at_its_next_start() {
    let log = Log::new(MemoryStore::new());
    for tries in [3, 3, 7] {
        let shutdown = CancellationToken::new();
        let process = Desk::default().process(&log).backoff(Backoff { tries, ..Backoff::SHORT });
        let running = process.start(&shutdown).await.unwrap();
        assert_eq!(running.group().status().await.unwrap().settings.backoff.tries, tries);
        shutdown.cancel();
        running.ended().await.unwrap();
    }
}
