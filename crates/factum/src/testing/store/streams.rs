//! The list of streams: by category and prefix, in the order of their first events.

use std::time::Duration;

use super::bench::Bench;
use super::builders::{all_streams, event, everything, record, refuse, stream};
use crate::{AnyStore, Append, Category, Change, Expected, Position, ReadStreams, RecordedEvent, StreamSummary, Version};

/// Events to streams, in an order that is not that of their names.
const GIVEN: [&str; 12] = [
    "order-9",
    "account-1",
    "order-1",
    "order-9",
    "Order-1",
    "orders-1",
    "account-1",
    "order",
    "order-10",
    "account-1",
    "-x",
    "order-9",
];

async fn fill(bench: &Bench<'_>) -> AnyStore {
    let store = bench.store().await;
    for name in GIVEN {
        record(&store, vec![event(name)]).await;
        bench.clock.advance(Duration::from_secs(1));
    }
    // A stream that nothing was recorded in is none.
    refuse(&store, Append::new(vec![event("order-none")]).expect(stream("order-none"), Expected::Exists)).await;
    store
}

/// The streams, as the events tell.
async fn by_events(store: &AnyStore) -> Vec<StreamSummary> {
    let mut streams: Vec<StreamSummary> = Vec::new();
    for event in everything(store).await {
        let change = Change::from(&event);
        match streams.iter_mut().find(|summary| summary.name == event.stream) {
            Some(summary) => (summary.version, summary.last) = (event.version, change),
            None => streams.push(summary(event, change)),
        }
    }
    streams
}

fn summary(event: RecordedEvent, change: Change) -> StreamSummary {
    StreamSummary { name: event.stream, version: Version::new(1), first: change, last: change }
}

fn every(limit: usize) -> ReadStreams {
    ReadStreams { limit, ..ReadStreams::default() }
}

pub(super) async fn streams_stand_in_the_order_of_their_first_events(bench: &Bench<'_>) {
    let store = fill(bench).await;
    let found = all_streams(&store, every(100)).await;
    let names: Vec<_> = found.iter().map(|stream| stream.name.as_str()).collect();
    assert_eq!(names, ["order-9", "account-1", "order-1", "Order-1", "orders-1", "order", "order-10", "-x"]);
    assert_eq!(found, by_events(&store).await, "versions, or first or last changes, are not what the events tell");
}

pub(super) async fn streams_are_found_by_category_and_prefix(bench: &Bench<'_>) {
    let store = fill(bench).await;
    let category = |name: &str| name.parse::<Category>().ok();
    for (category, prefix, expected) in [
        (category("order"), "", vec!["order-9", "order-1", "order", "order-10"]),
        (category("orders"), "", vec!["orders-1"]),
        (category("Order"), "", vec!["Order-1"]),
        (category("-x"), "", vec!["-x"]),
        (category("order-1"), "", vec![]),
        (None, "order-1", vec!["order-1", "order-10"]),
        (None, "order", vec!["order-9", "order-1", "orders-1", "order", "order-10"]),
        (None, "O", vec!["Order-1"]),
        (None, "rder", vec![]),
        (category("order"), "order-", vec!["order-9", "order-1", "order-10"]),
        (category("account"), "order", vec![]),
    ] {
        for limit in [1, 2, 100] {
            let read = ReadStreams { category: category.clone(), prefix: prefix.to_owned(), ..every(limit) };
            let found = all_streams(&store, read).await;
            let names: Vec<_> = found.iter().map(|stream| stream.name.as_str()).collect();
            assert_eq!(names, expected, "{category:?} {prefix:?} in pages of {limit}");
        }
    }
}

pub(super) async fn pages_of_streams_add_up_to_the_whole(bench: &Bench<'_>) {
    let store = fill(bench).await;
    let whole = by_events(&store).await;
    for limit in (0..=whole.len() + 1).chain([usize::MAX]) {
        assert_eq!(all_streams(&store, every(limit)).await, whole, "in pages of {limit}");
    }
    for after in (0..=GIVEN.len() as u64 + 1).chain([u64::MAX]).map(Position::new) {
        let expected: Vec<_> = whole.iter().filter(|stream| after < stream.first.position).cloned().collect();
        assert_eq!(all_streams(&store, ReadStreams { after, ..every(2) }).await, expected, "after {after}");
    }
}
