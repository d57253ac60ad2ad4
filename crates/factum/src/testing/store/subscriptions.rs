//! Subscriptions: a read that waits, whatever happens while it begins to.

use std::pin::pin;

use tokio_util::sync::CancellationToken;

use super::bench::Bench;
use super::builders::{events, head, is_ready, record, tagged, with_tags};
use crate::{AnyStore, Position, Query, Read, Store, Subscription};

/// How many wait for one append.
const WAITERS: usize = 16;

fn subscribe(store: &AnyStore, query: Query, after: Position) -> Subscription<AnyStore> {
    Subscription::new(store.clone(), query, after, CancellationToken::new())
}

/// What the subscription hands out until its checkpoint is there.
async fn take(bench: &Bench<'_>, subscription: &mut Subscription<AnyStore>, until: Position) -> Vec<u64> {
    let mut positions = Vec::new();
    while subscription.checkpoint() < until {
        let what = format!("a subscription at {}, with events up to {until}", subscription.checkpoint());
        let next = bench.soon(&what, subscription.next()).await;
        let batch = next.expect("a store can be read").expect("the token is not cancelled");
        assert_eq!(batch.checkpoint, subscription.checkpoint());
        assert!(batch.checkpoint <= batch.head, "the checkpoint {} is past the head {}", batch.checkpoint, batch.head);
        positions.extend(batch.events.iter().map(|event| event.position.get()));
    }
    positions
}

pub(super) async fn a_subscription_begins_anywhere(bench: &Bench<'_>) {
    let store = bench.store().await;
    record(&store, events("subscription-a", 7)).await;
    let end = head(&store).await;
    for after in 0..=7 {
        for limit in [1, 3, 100] {
            let mut subscription = subscribe(&store, Query::all(), Position::new(after)).batch_limit(limit);
            assert_eq!(take(bench, &mut subscription, end).await, (after + 1..=7).collect::<Vec<u64>>(), "after {after}");
        }
    }
    // Ahead of the head it waits until the head has come past it.
    let mut ahead = subscribe(&store, Query::all(), Position::new(9));
    assert!(!is_ready(&mut pin!(ahead.next())).await, "a subscription ahead of the head hands something out");
    record(&store, events("subscription-a", 4)).await;
    assert_eq!(take(bench, &mut ahead, Position::new(11)).await, [10, 11]);
}

pub(super) async fn a_subscription_goes_from_catching_up_to_following(bench: &Bench<'_>) {
    let store = bench.store().await;
    record(&store, events("subscription-a", 5)).await;
    let mut subscription = subscribe(&store, Query::all(), Position::START).batch_limit(2);
    let mut seen = take(bench, &mut subscription, Position::new(4)).await;
    for turn in 0..20 {
        // An append before the wait and one within it, again and again.
        record(&store, events("subscription-a", 1 + turn % 3)).await;
        seen.extend(take(bench, &mut subscription, head(&store).await).await);
        let mut next = Box::pin(subscription.next());
        assert!(!is_ready(&mut next.as_mut()).await, "a subscription at the head hands something out");
        for _ in 0..=turn % 2 {
            record(&store, events("subscription-a", 1)).await;
        }
        let batch = bench.soon("a subscription that waits for an append", next).await;
        let batch = batch.expect("a store can be read").expect("the token is not cancelled");
        seen.extend(batch.events.iter().map(|event| event.position.get()));
    }
    seen.extend(take(bench, &mut subscription, head(&store).await).await);
    assert_eq!(seen, (1..=head(&store).await.get()).collect::<Vec<u64>>());
}

pub(super) async fn a_change_before_the_wait_ends_it(bench: &Bench<'_>) {
    let store = bench.store().await;
    for round in 0..10 {
        let page = store.read(Read::new(Query::all())).await.expect("a store can be read");
        record(&store, events("subscription-a", 1)).await;
        let what = format!("a wait after {} that begins when the head is {}", page.head, round + 1);
        bench.soon(&what, store.changed(page.head)).await;
        bench.soon(&what, store.changed(Position::START)).await;
    }
}

pub(super) async fn an_append_ends_every_wait(bench: &Bench<'_>) {
    let store = bench.store().await;
    record(&store, events("subscription-a", 3)).await;
    let end = head(&store).await;
    let mut waits: Vec<_> = (0..WAITERS).map(|_| Box::pin(store.changed(end))).collect();
    for wait in &mut waits {
        // A hint may come early; it is the later one that must not be missed.
        if is_ready(&mut wait.as_mut()).await {
            wait.set(store.changed(end));
        }
    }
    record(&store, events("subscription-b", 1)).await;
    for wait in waits {
        bench.soon("a wait that began before an append", wait).await;
    }
}

pub(super) async fn a_subscription_skips_what_its_query_does_not_select(bench: &Bench<'_>) {
    let store = bench.store().await;
    let mut subscription = subscribe(&store, with_tags(&["of:x"]), Position::START);
    let mut seen = Vec::new();
    for _ in 0..4 {
        record(&store, events("subscription-a", 2)).await;
        record(&store, vec![tagged("subscription-a", &["of:x"])]).await;
        record(&store, events("subscription-a", 1)).await;
        // The checkpoint moves over what is not selected, so that the lag can be told.
        seen.extend(take(bench, &mut subscription, head(&store).await).await);
    }
    assert_eq!(seen, [3, 7, 11, 15]);
    record(&store, events("subscription-a", 1)).await;
    let batch = bench.soon("a subscription, of an event that it does not select", subscription.next()).await;
    let batch = batch.expect("a store can be read").expect("the token is not cancelled");
    assert_eq!((batch.events.len(), batch.checkpoint, batch.head), (0, Position::new(17), Position::new(17)));
}

pub(super) async fn a_subscription_dropped_while_waiting_loses_nothing(bench: &Bench<'_>) {
    let store = bench.store().await;
    let mut subscription = subscribe(&store, Query::all(), Position::START);
    let mut seen = Vec::new();
    for _ in 0..10 {
        let waited = is_ready(&mut pin!(subscription.next())).await;
        assert!(!waited, "a subscription at the head hands something out");
        record(&store, events("subscription-a", 1)).await;
        seen.extend(take(bench, &mut subscription, head(&store).await).await);
    }
    assert_eq!(seen, (1..=10).collect::<Vec<u64>>());
}

pub(super) async fn a_subscription_ends_on_its_token(bench: &Bench<'_>) {
    let store = bench.store().await;
    record(&store, events("subscription-a", 5)).await;
    let token = CancellationToken::new();
    let mut waiting = Subscription::new(store.clone(), Query::all(), head(&store).await, token.clone());
    let mut behind = Subscription::new(store.clone(), Query::all(), Position::START, token.clone()).batch_limit(1);
    bench.soon("a subscription with events", behind.next()).await.expect("a store can be read");
    let mut wait = pin!(waiting.next());
    assert!(!is_ready(&mut wait).await, "a subscription at the head hands something out");
    token.cancel();
    let ended = bench.soon("a subscription that waits when its token is cancelled", wait).await;
    assert!(ended.expect("a store can be read").is_none(), "a subscription goes on after its token is cancelled");
    let ended = bench.soon("a subscription with more to read when its token is cancelled", behind.next()).await;
    assert!(ended.expect("a store can be read").is_none(), "a subscription goes on after its token is cancelled");
    assert_eq!(behind.checkpoint(), Position::new(1), "the end of a subscription moves its checkpoint");
}

pub(super) async fn a_batch_is_bounded(bench: &Bench<'_>) {
    let store = bench.store().await;
    record(&store, events("subscription-a", 10)).await;
    let mut subscription = subscribe(&store, Query::all(), Position::START).batch_limit(3);
    let mut seen = 0;
    while seen < 10 {
        let batch = bench.soon("a subscription with events", subscription.next()).await;
        let batch = batch.expect("a store can be read").expect("the token is not cancelled");
        assert!(batch.events.len() <= 3, "a batch of at most 3 events has {}", batch.events.len());
        assert!(batch.events.iter().all(|event| event.position <= batch.checkpoint), "a batch goes past its checkpoint");
        seen += batch.events.len();
    }
    assert_eq!(seen, 10);
}
