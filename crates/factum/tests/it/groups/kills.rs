//! Members die, fail and stand still anywhere: each event is handled, in the order of its stream, and what is parked is kept.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use factum::{Delivery, Group, HandlerError, Log, MemoryStore, Position, Query, Read, Store};
use tokio_util::sync::CancellationToken;

use super::{happen, settings};
use crate::watched::{At, Fate, Fault, Watched};

/// Streams and their events; the events of `bad` fail until they are mended.
const EVENTS: [&str; 9] = ["a", "bad", "a", "c", "bad", "d", "a", "c", "bad"];
const TIMEOUT: Duration = Duration::from_secs(2);

/// Those who handle events, of whichever member.
#[derive(Clone, Default)]
struct Handlers {
    /// The positions that were handled, in order, by stream.
    handled: Arc<Mutex<BTreeMap<String, Vec<u64>>>>,
    mended: Arc<AtomicBool>,
}

impl Handlers {
    fn handle(&self, delivery: &Delivery) -> Result<(), HandlerError> {
        let stream = delivery.event.stream.to_string();
        if stream == "bad" && !self.mended.load(Ordering::SeqCst) {
            return Err("not yet".into());
        }
        self.handled.lock().unwrap().entry(stream).or_default().push(delivery.event.position.get());
        Ok(())
    }

    fn has_handled(&self, position: u64) -> bool {
        self.handled.lock().unwrap().values().flatten().any(|handled| *handled == position)
    }

    /// Takes part, and does so again where that fails.
    async fn run(self, log: Log, member: &'static str, over: CancellationToken) {
        while !over.is_cancelled() {
            let handlers = self.clone();
            let handler = move |delivery: Delivery| {
                let handlers = handlers.clone();
                async move {
                    // So long that marks are made in between.
                    tokio::time::sleep(Duration::from_millis(80)).await;
                    handlers.handle(&delivery)
                }
            };
            let _ = log.group("mailer").unwrap().run(member, 2, handler, over.clone()).await;
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

/// What came of it where this happens to one of two members; how many calls it made.
async fn outcome(at: Option<(usize, Fate)>, fault: Fault) -> Result<usize, String> {
    let memory = MemoryStore::new();
    let (log, handlers, over) = (Log::new(memory.clone()), Handlers::default(), CancellationToken::new());
    let group = log.group("mailer").unwrap();
    group.create(settings().partitions(2).member_timeout(TIMEOUT)).await.unwrap();
    happen(&log, &EVENTS).await;
    let one = match at {
        Some((call, fate)) => Watched::new(&memory).with(fault).at(At::Call(call), fate),
        None => Watched::new(&memory).with(fault),
    };
    let two = Watched::new(&memory).with(fault);
    tokio::spawn(handlers.clone().run(Log::new(one.clone()), "one", over.clone()));
    tokio::spawn(handlers.clone().run(Log::new(two), "two", over.clone()));
    settled(&log, &group, &handlers, 3).await?;
    happen(&log, &["a", "bad"]).await;
    one.wake();
    settled(&log, &group, &handlers, 4).await?;
    handlers.mended.store(true, Ordering::SeqCst);
    group.replay(None).await.unwrap();
    settled(&log, &group, &handlers, 0).await?;
    for (stream, positions) in &*handlers.handled.lock().unwrap() {
        let mut firsts = Vec::new();
        positions.iter().for_each(|position| {
            if !firsts.contains(position) {
                firsts.push(*position);
            }
        });
        if !firsts.is_sorted() {
            return Err(format!("{stream} was handled in the order {firsts:?}"));
        }
    }
    over.cancel();
    tokio::time::sleep(2 * TIMEOUT).await;
    let mut fresh = group.join("fresh", CancellationToken::new()).await.unwrap();
    match tokio::time::timeout(2 * TIMEOUT, fresh.next()).await {
        Err(_nothing) => Ok(one.calls()),
        Ok(again) => Err(format!("what was answered for came again: {again:?}")),
    }
}

/// Waits until each event is handled, but for those parked; and sees to it that no checkpoint passes one that is neither.
async fn settled(log: &Log, group: &Group, handlers: &Handlers, parked: usize) -> Result<(), String> {
    for _ in 0..400 {
        let status = group.status().await.unwrap();
        let events = events(log).await;
        let is_parked = |position| status.parked.iter().any(|parked| parked.position.get() == position);
        let open: Vec<u64> =
            events.into_iter().filter(|position| !handlers.has_handled(*position) && !is_parked(*position)).collect();
        if let Some(passed) = open.iter().find(|position| Position::new(**position) <= status.checkpoint()) {
            return Err(format!("the checkpoint {} has passed {passed}, which nobody answered for", status.checkpoint()));
        }
        if open.is_empty() && status.parked.len() == parked {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Err(format!("it did not come to an end: {:?}", group.status().await))
}

/// Where the events are that the group is about.
async fn events(log: &Log) -> Vec<u64> {
    let page = log.store().read(Read::new(Query::all())).await.unwrap();
    page.events.iter().filter(|event| !event.stream.is_system()).map(|event| event.position.get()).collect()
}

/// What comes of it wherever this happens.
async fn everywhere(fate: Fate, fault: Fault) -> Result<(), String> {
    let calls = outcome(None, fault).await?;
    for call in 0..calls {
        outcome(Some((call, fate)), fault).await.map_err(|saw| format!("{fate:?} at call {call} of {calls}: {saw}"))?;
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_member_that_dies_anywhere_loses_nothing() {
    everywhere(Fate::DeathBefore, Fault::None).await.unwrap();
    everywhere(Fate::DeathAfter, Fault::None).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_store_that_fails_anywhere_changes_nothing() {
    everywhere(Fate::Failure, Fault::None).await.unwrap();
    everywhere(Fate::AnswerLost, Fault::None).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_member_that_stands_still_anywhere_finds_its_work_done() {
    everywhere(Fate::Sleep, Fault::None).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_store_that_forgets_marks_is_caught() {
    assert!(everywhere(Fate::DeathAfter, Fault::Forgets).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_store_that_marks_further_than_it_is_told_is_caught() {
    assert!(everywhere(Fate::DeathAfter, Fault::MarksFurther).await.is_err());
}
