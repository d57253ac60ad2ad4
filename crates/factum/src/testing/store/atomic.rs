//! All of an append or none of it, across streams, to every reader.

use std::collections::HashMap;
use std::pin::pin;
use std::sync::Arc;

use tokio::sync::Barrier;
use tokio::task::JoinSet;

use super::bench::Bench;
use super::builders::{event, events, everything, is_ready, joined, record, refuse, stream, version};
use crate::{AnyStore, Append, Direction, Expected, NewEvent, Page, Query, Range, Read, Selector, Store, Version};

/// The streams that each append writes to, one event each.
const STREAMS: usize = 5;
/// In each round every writer appends once, while every reader polls as often as this.
const ROUNDS: usize = 25;
const POLLS: usize = 4;
const WRITERS: usize = 4;
/// How many read forward, and how many backward.
const READERS: usize = 2;
/// How many appends are sent by a caller who leaves.
const LEFT: usize = 60;

pub(super) async fn an_append_to_several_streams_is_refused_whole(bench: &Bench<'_>) {
    let store = bench.store().await;
    record(&store, events("atomic-c", 2)).await;
    let before = everything(&store).await;
    let names = ["atomic-a", "atomic-b", "atomic-c"];
    for failing in names {
        let mut append = Append::new(names.map(event).to_vec());
        for name in names {
            let actual = if name == "atomic-c" { 2 } else { 0 };
            let expected = actual + u64::from(name == failing);
            append = append.expect(stream(name), Expected::Exact(Version::new(expected)));
        }
        refuse(&store, append).await;
        let after = everything(&store).await;
        assert_eq!(before, after, "an append that was refused for {failing} recorded something");
        for name in &names[..2] {
            assert_eq!(version(&store, &stream(name)).await, Version::EMPTY, "{name} exists after a refused append");
        }
    }
    record(&store, names.map(event).to_vec()).await;
    assert_eq!(everything(&store).await.len(), before.len() + names.len());
}

pub(super) async fn no_reader_sees_half_an_append(bench: &Bench<'_>) {
    let store = bench.store().await;
    let round = Arc::new(Barrier::new(WRITERS + 2 * READERS));
    let mut tasks = JoinSet::new();
    for direction in [Direction::Forward, Direction::Backward] {
        for _ in 0..READERS {
            tasks.spawn(poll(store.clone(), direction, Arc::clone(&round)));
        }
    }
    for writer in 0..WRITERS {
        tasks.spawn(write(store.clone(), writer, Arc::clone(&round)));
    }
    while let Some(task) = bench.soon("a reader that polls, or a writer", tasks.join_next()).await {
        joined(task);
    }
    assert_eq!(everything(&store).await.len(), ROUNDS * WRITERS * STREAMS);
}

/// Appends once a round, while the readers poll.
async fn write(store: AnyStore, writer: usize, round: Arc<Barrier>) {
    for _ in 0..ROUNDS {
        round.wait().await;
        store.append(Append::new(one_for_each_stream(writer))).await.expect("nothing speaks against it");
    }
}

fn one_for_each_stream(writer: usize) -> Vec<NewEvent> {
    // Each writer begins with another stream, so that locks taken stream by stream would meet.
    (0..STREAMS).map(|number| event(&format!("atomic-{}", (number + writer) % STREAMS))).collect()
}

/// Reads again and again: whatever the head, as many events of each stream are at or below it.
async fn poll(store: AnyStore, direction: Direction, round: Arc<Barrier>) {
    let selectors = (0..STREAMS).map(|number| Selector::stream(stream(&format!("atomic-{number}"))));
    let query = Query { selectors: selectors.collect() };
    for turn in 0..ROUNDS * POLLS {
        if turn % POLLS == 0 {
            round.wait().await;
        }
        let head = store.head().await.expect("the head can be read");
        assert_eq!(head.get() % STREAMS as u64, 0, "the head {head} is inside an append");
        let read = Read { direction, ..Read::new(query.clone()).limit(usize::MAX) };
        let page = store.read(read).await.expect("a store can be read");
        // A store may cut a page where it likes; one that it does not cut has all that is there.
        if page.rest.is_none() {
            check_whole(&page);
        }
        let newer = Range::after(page.head.previous());
        let last = store.read(Read::new(query.clone()).range(newer)).await.expect("a store can be read");
        assert_eq!(last.head.get() % STREAMS as u64, 0, "a page's head {} is inside an append", last.head);
        tokio::task::yield_now().await;
    }
}

fn check_whole(page: &Page) {
    let mut counts: HashMap<_, usize> = HashMap::new();
    page.events.iter().for_each(|event| *counts.entry(event.stream.clone()).or_default() += 1);
    assert_eq!(page.events.len() as u64, page.head.get(), "at head {} {} events are read", page.head, page.events.len());
    assert!(counts.values().all(|count| *count * STREAMS == page.events.len()), "half an append is read: {counts:?}");
}

pub(super) async fn an_append_whose_caller_left_is_there_whole_or_not_at_all(bench: &Bench<'_>) {
    let store = bench.store().await;
    let appends: Vec<Append> = (0..LEFT).map(|_| Append::new(one_for_each_stream(0))).collect();
    for append in &appends {
        is_ready(&mut pin!(store.append(append.clone()))).await;
    }
    // Whoever left asks again, while the first may be on its way.
    for append in &appends {
        let appended = bench.soon("an append sent again", store.append(append.clone())).await.expect("a repeat is answered");
        assert_eq!(appended.positions.through.get() - appended.positions.after.get(), STREAMS as u64);
    }
    assert_eq!(everything(&store).await.len(), LEFT * STREAMS, "an append is recorded twice, or in part");
}
