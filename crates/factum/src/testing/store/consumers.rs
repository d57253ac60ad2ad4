//! What consumers mark as handled: only ever further, and together with what it led to.

use super::bench::Bench;
use super::builders::{accept, consumer, event, events, everything, race_appends, record, refuse, stream, tagged, with_tags};
use crate::{AnyStore, Append, AppendError, Expected, Position, Store, Version};

/// How often a race is run.
const ROUNDS: u64 = 10;
/// How many race for one mark.
const RACERS: usize = 8;

pub(super) async fn consumed(store: &AnyStore, name: &str) -> Position {
    store.consumed(consumer(name)).await.expect("a mark can be read")
}

pub(super) async fn a_consumer_begins_at_the_start(bench: &Bench<'_>) {
    let store = bench.store().await;
    assert_eq!(consumed(&store, "nobody").await, Position::START);
    accept(&store, Append::default().consumed(consumer("reader"), Position::new(7))).await;
    assert_eq!(consumed(&store, "reader").await, Position::new(7), "a mark needs no events");
    assert_eq!(consumed(&store, "Reader").await, Position::START, "each consumer has a mark of its own");
}

pub(super) async fn a_mark_only_advances(bench: &Bench<'_>) {
    let store = bench.store().await;
    let mark = |through| Append::new(events("consumer-a", 1)).consumed(consumer("reader"), Position::new(through));
    check_refused(&store, mark(0), 0).await;
    for (through, refused) in [(3, [1, 3]), (4, [3, 4]), (u64::MAX, [5, u64::MAX])] {
        accept(&store, mark(through)).await;
        assert_eq!(consumed(&store, "reader").await, Position::new(through));
        for refused in refused {
            check_refused(&store, mark(refused), through).await;
        }
    }
    assert_eq!(everything(&store).await.len(), 3, "an append whose mark is refused recorded its events");
}

async fn check_refused(store: &AnyStore, append: Append, reached: u64) {
    match refuse(store, append).await {
        AppendError::AlreadyConsumed { consumer: name, through } => {
            assert_eq!((name, through), (consumer("reader"), Position::new(reached)));
        }
        other => panic!("a mark that does not advance is refused with {other:?}"),
    }
    assert_eq!(consumed(store, "reader").await, Position::new(reached), "a refused mark is there");
}

pub(super) async fn a_mark_is_recorded_with_its_events_or_not_at_all(bench: &Bench<'_>) {
    let store = bench.store().await;
    let taken = tagged("consumer-a", &["of:x"]);
    record(&store, vec![taken.clone()]).await;
    let twice = event("consumer-a");
    let refused = [
        Append::new(events("consumer-a", 1)).expect(stream("consumer-a"), Expected::NO_STREAM),
        Append::new(events("consumer-a", 1)).condition(with_tags(&["of:x"]), Position::START),
        Append::new(vec![taken, event("consumer-a")]),
        Append::new(vec![twice.clone(), twice]),
        Append::default().expect(stream("consumer-b"), Expected::Exists),
    ];
    for append in refused {
        refuse(&store, append.consumed(consumer("reader"), Position::new(9))).await;
        assert_eq!(consumed(&store, "reader").await, Position::START, "a refused append left its mark");
    }
    let one = Expected::Exact(Version::new(1));
    let append = Append::new(events("consumer-a", 2)).expect(stream("consumer-a"), one);
    accept(&store, append.clone().consumed(consumer("reader"), Position::new(9))).await;
    assert_eq!(consumed(&store, "reader").await, Position::new(9));
    let before = everything(&store).await;
    refuse(&store, Append::new(events("consumer-b", 2)).consumed(consumer("reader"), Position::new(9))).await;
    assert_eq!(everything(&store).await, before, "an append whose mark is refused recorded its events");
}

pub(super) async fn a_repeat_is_answered_though_its_mark_is_there(bench: &Bench<'_>) {
    let store = bench.store().await;
    let mark = |through| Append::new(events("consumer-a", 2)).consumed(consumer("reader"), Position::new(through));
    let sent = mark(5);
    let original = accept(&store, sent.clone()).await;
    accept(&store, mark(8)).await;
    assert_eq!(accept(&store, sent).await, original);
    assert_eq!(consumed(&store, "reader").await, Position::new(8), "a repeat took a mark back");
}

pub(super) async fn of_racers_for_one_mark_one_wins(bench: &Bench<'_>) {
    let store = bench.store().await;
    for round in 1..=ROUNDS {
        let racer =
            |number| Append::new(events(&format!("consumer-{number}"), 1)).consumed(consumer("reader"), Position::new(round));
        let answers = race_appends(&store, (0..RACERS).map(racer)).await;
        let winners = answers.iter().filter(|answer| answer.is_ok()).count();
        assert_eq!(winners, 1, "{winners} racers marked {round}: {answers:?}");
        assert_eq!(everything(&store).await.len() as u64, round, "what was handled once is recorded twice");
    }
}
