//! Restarts: what was acknowledged is there, and everything goes on from it. A store that keeps nothing passes.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::bench::{Bench, Opened};
use super::builders::{
    accept, all_streams, conflict, consumer, event, events, everything, head, joined, read_all, record, refuse, select, stream,
    tagged, with_tags,
};
use super::consumers::consumed;
use crate::{
    AnyStore, Append, AppendError, Clock, Conflict, Expected, NewEvent, Position, Query, Read, ReadStreams, RecordedEvent, Store,
    StreamSummary, Subscription, Version,
};

/// How many append while the store closes, and how many appends are acknowledged before it does.
const WRITERS: usize = 4;
const ACKNOWLEDGED: usize = 40;

/// All that can be read of a store.
#[derive(Debug, PartialEq)]
struct Contents {
    head: Position,
    forward: Vec<RecordedEvent>,
    backward: Vec<RecordedEvent>,
    selected: Vec<Vec<RecordedEvent>>,
    streams: Vec<StreamSummary>,
    mark: Position,
}

async fn contents(store: &AnyStore, queries: &[Query]) -> Contents {
    let mut selected = Vec::new();
    for query in queries {
        selected.push(select(store, query.clone()).await);
    }
    Contents {
        head: head(store).await,
        forward: everything(store).await,
        backward: read_all(store, Read::new(Query::all()).backward()).await,
        selected,
        streams: all_streams(store, ReadStreams { limit: 2, ..ReadStreams::default() }).await,
        mark: consumed(store, "reader").await,
    }
}

pub(super) async fn a_restart_changes_nothing_that_was_read(bench: &Bench<'_>) {
    let mut opened = bench.open().await;
    let cases = super::queries::corpus(&opened.store).await;
    accept(&opened.store, Append::new(events("restart-a", 3)).consumed(consumer("reader"), Position::new(4))).await;
    let queries: Vec<Query> = cases.into_iter().map(|(query, _)| query).collect();
    let before = contents(&opened.store, &queries).await;
    for _ in 0..2 {
        let Some(again) = opened.reopen().await else { return };
        assert_eq!(contents(&again.store, &queries).await, before, "a restart has changed something");
        opened = again;
    }
}

pub(super) async fn appends_go_on_after_a_restart(bench: &Bench<'_>) {
    let mut opened = bench.open().await;
    for turn in 0..4 {
        let appended = record(&opened.store, vec![event("restart-a"), event("restart-b"), event("restart-a")]).await;
        assert_eq!(
            appended.positions,
            super::builders::range(turn * 3, turn * 3 + 3),
            "a restart made a gap, or reused positions"
        );
        let versions = [("restart-a", turn * 2 + 2), ("restart-b", turn + 1)];
        assert_eq!(appended.versions, versions.map(|(name, version)| (stream(name), Version::new(version))));
        let Some(again) = opened.reopen().await else { return };
        opened = again;
        assert_eq!(everything(&opened.store).await.len() as u64, turn * 3 + 3);
    }
}

pub(super) async fn expectations_and_conditions_hold_after_a_restart(bench: &Bench<'_>) {
    let opened = bench.open().await;
    record(&opened.store, vec![tagged("restart-a", &["of:x"]), event("restart-b"), event("restart-a")]).await;
    let Some(Opened { store, .. }) = &opened.reopen().await else { return };
    let write = || Append::new(vec![event("restart-a")]);
    for expected in [Expected::NO_STREAM, Expected::Exact(Version::new(1)), Expected::Exact(Version::new(3))] {
        let told = conflict(refuse(store, write().expect(stream("restart-a"), expected)).await);
        assert_eq!(told, Conflict::Stream { stream: stream("restart-a"), expected, actual: Version::new(2) });
    }
    refuse(store, write().expect(stream("restart-c"), Expected::Exists)).await;
    let told = conflict(refuse(store, write().condition(with_tags(&["of:x"]), Position::START)).await);
    assert_eq!(told, Conflict::Condition { after: Position::START, actual: Position::new(1) });
    let guarded = write().condition(with_tags(&["of:x"]), Position::new(1));
    let guarded =
        guarded.expect(stream("restart-a"), Expected::Exact(Version::new(2))).expect(stream("restart-b"), Expected::Exists);
    accept(store, guarded).await;
}

pub(super) async fn repeats_are_known_after_a_restart(bench: &Bench<'_>) {
    let opened = bench.open().await;
    let mut originals = Vec::new();
    for append in super::repeats::every_kind() {
        originals.push((accept(&opened.store, append.clone()).await, append));
        bench.clock.advance(Duration::from_secs(1));
    }
    let Some(Opened { store, .. }) = &opened.reopen().await else { return };
    let before = everything(store).await;
    for (original, append) in originals {
        assert_eq!(accept(store, append.clone()).await, original, "{append:?}");
        let with_new = Append::new([&append.events[..], &events("restart-a", 1)].concat());
        let refusal = refuse(store, with_new).await;
        assert!(matches!(refusal, AppendError::IdTaken { .. }), "an id that is taken is refused with {refusal:?}");
    }
    assert_eq!(everything(store).await, before, "a repeat after a restart recorded something");
}

pub(super) async fn marks_survive_a_restart(bench: &Bench<'_>) {
    let opened = bench.open().await;
    let mark = |name: &str, through| Append::new(events("restart-a", 1)).consumed(consumer(name), Position::new(through));
    for through in [3, 5, 9] {
        accept(&opened.store, mark("reader", through)).await;
    }
    // One whose append has no events, and is the last thing that the store hears of.
    accept(&opened.store, Append::default().consumed(consumer("other"), Position::new(2))).await;
    let Some(Opened { store, .. }) = &opened.reopen().await else { return };
    assert_eq!(consumed(store, "reader").await, Position::new(9));
    assert_eq!(consumed(store, "other").await, Position::new(2), "the mark of an append without events is lost");
    let refusal = refuse(store, mark("reader", 9)).await;
    assert!(matches!(refusal, AppendError::AlreadyConsumed { .. }), "a mark that does not advance is refused with {refusal:?}");
    accept(store, mark("reader", 10)).await;
}

pub(super) async fn recorded_time_does_not_go_back_at_a_restart(bench: &Bench<'_>) {
    let opened = bench.open().await;
    let begin = bench.clock.now();
    let last = record(&opened.store, events("restart-a", 1)).await;
    bench.clock.set(begin.earlier(Duration::from_secs(3600)));
    let Some(Opened { store, .. }) = &opened.reopen().await else { return };
    let checked = accept(store, Append::default()).await;
    assert_eq!(checked.recorded_at, last.recorded_at, "the time of the last event is forgotten");
    let next = record(store, events("restart-a", 1)).await;
    assert_eq!(next.recorded_at, last.recorded_at, "recorded time goes back at a restart");
}

pub(super) async fn subscribers_go_on_over_a_restart(bench: &Bench<'_>) {
    let opened = bench.open().await;
    record(&opened.store, events("restart-a", 5)).await;
    let (stores, of_stores) = watch::channel(opened.store.clone());
    let token = CancellationToken::new();
    let (seen, mut positions) = mpsc::unbounded_channel();
    let mut tasks = JoinSet::new();
    tasks.spawn(follow(of_stores, seen, token.clone()));
    // It has caught up, and waits when the store closes.
    let mut all = take(bench, &mut positions, 5).await;
    let again = bench.soon("a store to close and to open again", opened.reopen()).await;
    if let Some(again) = &again {
        record(&again.store, events("restart-a", 2)).await;
        stores.send_replace(again.store.clone());
        all.extend(take(bench, &mut positions, 2).await);
        record(&again.store, events("restart-b", 3)).await;
        all.extend(take(bench, &mut positions, 3).await);
        assert_eq!(all, (1..=10).collect::<Vec<u64>>(), "a subscriber over a restart misses or doubles something");
    }
    token.cancel();
    while let Some(task) = bench.soon("a subscriber whose token is cancelled", tasks.join_next()).await {
        joined(task);
    }
}

/// Follows whichever store is the open one, from where the last subscription got to.
async fn follow(mut stores: watch::Receiver<AnyStore>, seen: mpsc::UnboundedSender<u64>, token: CancellationToken) {
    let mut checkpoint = Position::START;
    while !token.is_cancelled() {
        let store = stores.borrow_and_update().clone();
        let mut subscription = Subscription::new(store, Query::all(), checkpoint, token.clone());
        loop {
            match until_replaced(&mut stores, subscription.next()).await {
                Some(Ok(Some(batch))) => batch.events.iter().for_each(|event| {
                    // The rule has all that it waits for once it has dropped the receiver.
                    let _ = seen.send(event.position.get());
                }),
                Some(Ok(None)) => return,
                // The store has closed: the next one is on its way, or the rule is over.
                Some(Err(_)) => {
                    token.run_until_cancelled(stores.changed()).await;
                    break;
                }
                None => break,
            }
        }
        checkpoint = subscription.checkpoint();
    }
}

/// What the future answers, or `None` where another store is the open one first.
async fn until_replaced<T>(stores: &mut watch::Receiver<AnyStore>, future: impl Future<Output = T>) -> Option<T> {
    let (mut future, mut replaced) = (pin!(future), pin!(stores.changed()));
    poll_fn(|context| match future.as_mut().poll(context) {
        Poll::Ready(answer) => Poll::Ready(Some(answer)),
        Poll::Pending => replaced.as_mut().poll(context).map(|_| None),
    })
    .await
}

async fn take(bench: &Bench<'_>, positions: &mut mpsc::UnboundedReceiver<u64>, count: usize) -> Vec<u64> {
    let mut taken = Vec::new();
    while taken.len() < count {
        let what = format!("a subscriber that has {} of {count} events to come", taken.len());
        taken.push(bench.soon(&what, positions.recv()).await.expect("the subscriber goes on"));
    }
    taken
}

/// An append that a writer sent, and whether it was acknowledged.
struct Sent {
    events: Vec<NewEvent>,
    acknowledged: bool,
}

pub(super) async fn what_was_acknowledged_before_a_restart_is_there_after_it(bench: &Bench<'_>) {
    let opened = bench.open().await;
    let stop = CancellationToken::new();
    let (acknowledge, mut acknowledged) = mpsc::unbounded_channel();
    let mut writers = JoinSet::new();
    for number in 0..WRITERS {
        writers.spawn(write(opened.store.clone(), number, acknowledge.clone(), stop.clone()));
    }
    for _ in 0..ACKNOWLEDGED {
        bench.soon("an append to be acknowledged", acknowledged.recv()).await;
    }
    let again = bench.soon("a store to close and to open again", opened.reopen()).await;
    stop.cancel();
    let mut sent = Vec::new();
    while let Some(writer) = bench.soon("a writer whose store has closed", writers.join_next()).await {
        sent.extend(joined(writer));
    }
    let Some(Opened { store, .. }) = &again else { return };
    let found = everything(store).await;
    for Sent { events, acknowledged } in &sent {
        let there = found.iter().filter(|found| events.iter().any(|event| event.id == found.id)).count();
        assert!(
            there == events.len() || (!acknowledged && there == 0),
            "of an append of {} events {there} are there",
            events.len()
        );
        // Whoever does not know repeats it, and then it is there once.
        record(store, events.clone()).await;
    }
    assert_eq!(everything(store).await.len(), sent.iter().map(|sent| sent.events.len()).sum::<usize>());
}

/// Appends until it is stopped, or the store has closed.
async fn write(store: AnyStore, number: usize, acknowledge: mpsc::UnboundedSender<()>, stop: CancellationToken) -> Vec<Sent> {
    let mut sent = Vec::new();
    let mut open = true;
    while open && !stop.is_cancelled() {
        let events = vec![event(&format!("restart-{number}")), event("restart-all")];
        let answer = store.append(Append::new(events.clone())).await;
        open = answer.is_ok();
        sent.push(Sent { events, acknowledged: open });
        // Nobody listens any more once enough are acknowledged.
        let _ = acknowledge.send(());
        tokio::task::yield_now().await;
    }
    sent
}
