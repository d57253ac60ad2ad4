//! Repeats: an append sent again is answered with what was recorded, and records nothing.

use std::time::Duration;

use bytes::Bytes;

use super::bench::Bench;
use super::builders::{accept, event, events, everything, of_types, race_appends, record, refuse, stream, tagged, with_tags};
use crate::{
    AnyStore, Append, AppendError, EventId, Expected, InvalidAppend, NewEvent, Payload, Position, Query, Range, Version,
};

/// How often a race is run.
const ROUNDS: usize = 10;
/// How many send one append.
const RACERS: usize = 8;

/// Appends of every kind, each of which passes on an empty store and not after it was recorded.
pub(super) fn every_kind() -> Vec<Append> {
    let two = || vec![event("repeat-b"), event("repeat-c"), event("repeat-b")];
    let nothing = |query| Append::new(vec![tagged("repeat-d", &["of:x"])]).condition(query, Position::START);
    vec![
        Append::new(vec![event("repeat-a")]),
        Append::new(two()),
        Append::new(vec![event("repeat-e")]).expect(stream("repeat-e"), Expected::Any),
        Append::new(vec![event("repeat-f")]).expect(stream("repeat-f"), Expected::NO_STREAM),
        Append::new(events("repeat-f", 2)).expect(stream("repeat-f"), Expected::Exact(Version::new(1))),
        Append::new(vec![event("repeat-f")]).expect(stream("repeat-f"), Expected::Exists),
        Append::new(two()).expect(stream("repeat-g"), Expected::NO_STREAM),
        nothing(with_tags(&["of:x"])),
        Append::new(vec![event("repeat-h")]).condition(of_types(&["Never"]), Position::START),
    ]
}

pub(super) async fn a_repeat_is_answered_with_the_original_result(bench: &Bench<'_>) {
    let store = bench.store().await;
    let mut originals = Vec::new();
    for append in every_kind() {
        let original = accept(&store, append.clone()).await;
        assert_eq!(accept(&store, append.clone()).await, original, "at once, {append:?}");
        bench.clock.advance(Duration::from_secs(1));
        originals.push((append, original));
    }
    record(&store, vec![event("repeat-a"), event("repeat-g"), event("repeat-f")]).await;
    let before = everything(&store).await;
    for (append, original) in &originals {
        let again = accept(&store, append.clone()).await;
        assert_eq!(again, *original, "after other appends, {append:?}");
    }
    assert_eq!(everything(&store).await, before, "a repeat recorded something");
}

pub(super) async fn a_repeat_changes_nothing(bench: &Bench<'_>) {
    let store = bench.store().await;
    let given = tagged("repeat-a", &["of:x"]);
    let original = record(&store, vec![given.clone()]).await;
    let before = everything(&store).await;
    let other = NewEvent { id: given.id, payload: Payload::json(Bytes::from_static(b"[1]")), ..event("repeat-a") };
    assert_eq!(record(&store, vec![other]).await, original, "an id is what makes an append a repeat");
    assert_eq!(everything(&store).await, before, "a repeat changed an event");
}

pub(super) async fn what_is_recorded_next_to_each_other_is_a_repeat(bench: &Bench<'_>) {
    let store = bench.store().await;
    let given = vec![event("repeat-a"), event("repeat-b"), event("repeat-a"), event("repeat-b")];
    let first = record(&store, given.clone()).await;
    bench.clock.advance(Duration::from_secs(1));
    let next = vec![event("repeat-a")];
    let second = record(&store, next.clone()).await;
    let (a, b) = (stream("repeat-a"), stream("repeat-b"));
    let middle = record(&store, given[1..3].to_vec()).await;
    assert_eq!(middle.positions, Range { after: Position::new(1), through: Position::new(3) });
    assert_eq!(middle.versions, [(b.clone(), Version::new(1)), (a.clone(), Version::new(2))]);
    assert_eq!(middle.recorded_at, first.recorded_at);
    let both = record(&store, [&given[2..], &next[..]].concat()).await;
    assert_eq!(both.positions, Range { after: Position::new(2), through: Position::new(5) });
    assert_eq!(both.versions, [(a, Version::new(3)), (b, Version::new(2))]);
    assert_eq!(both.recorded_at, second.recorded_at, "the time is that of the last of them");
    assert_eq!(everything(&store).await.len(), 5);
}

pub(super) async fn recorded_ids_in_another_shape_are_refused(bench: &Bench<'_>) {
    let store = bench.store().await;
    let given = vec![event("repeat-a"), event("repeat-b"), event("repeat-a")];
    record(&store, given.clone()).await;
    let [first, second, third] = [&given[0], &given[1], &given[2]].map(Clone::clone);
    let later = event("repeat-a");
    record(&store, vec![later.clone()]).await;
    let moved = NewEvent { stream: stream("repeat-b"), ..first.clone() };
    // What is sent, and the first of its ids that is recorded, with where.
    let cases = [
        (vec![first.clone(), event("repeat-a")], &first, 1),
        (vec![event("repeat-a"), first.clone()], &first, 1),
        (vec![event("repeat-a"), third.clone(), first.clone()], &third, 3),
        (vec![second.clone(), first.clone()], &second, 2),
        (vec![first.clone(), third.clone()], &first, 1),
        (vec![first.clone(), second.clone(), third.clone(), event("repeat-c")], &first, 1),
        (vec![later.clone(), event("repeat-a")], &later, 4),
        (vec![moved.clone()], &first, 1),
        (vec![moved, second.clone()], &first, 1),
    ];
    let before = everything(&store).await;
    for (sent, taken, at) in cases {
        check_taken(&store, Append::new(sent), taken.id, at).await;
        assert_eq!(everything(&store).await, before, "an append with taken ids recorded something");
    }
}

async fn check_taken(store: &AnyStore, append: Append, taken: EventId, at: u64) {
    match refuse(store, append).await {
        AppendError::IdTaken { id, position } => assert_eq!((id, position), (taken, Position::new(at))),
        other => panic!("an append with an id that is taken is refused with {other:?}"),
    }
}

pub(super) async fn a_taken_id_is_told_before_a_conflict(bench: &Bench<'_>) {
    let store = bench.store().await;
    let given = event("repeat-a");
    record(&store, vec![given.clone()]).await;
    let stale = |events| Append::new(events).expect(stream("repeat-a"), Expected::NO_STREAM);
    let stale = |events| stale(events).condition(Query::all(), Position::START);
    check_taken(&store, stale(vec![given.clone(), event("repeat-a")]), given.id, 1).await;
    let invalid = refuse(&store, stale(vec![given.clone(), given.clone()])).await;
    assert!(matches!(invalid, AppendError::Invalid(_)), "what no store takes is told first, not {invalid:?}");
    assert_eq!(accept(&store, stale(vec![given])).await.positions.through, Position::new(1));
}

pub(super) async fn an_id_twice_in_an_append_is_invalid(bench: &Bench<'_>) {
    let store = bench.store().await;
    let twice = event("repeat-a");
    let elsewhere = NewEvent { stream: stream("repeat-b"), ..twice.clone() };
    for second in [twice.clone(), elsewhere] {
        match refuse(&store, Append::new(vec![twice.clone(), event("repeat-a"), second])).await {
            AppendError::Invalid(InvalidAppend::IdTwice { id }) => assert_eq!(id, twice.id),
            other => panic!("an id that stands twice is refused with {other:?}"),
        }
    }
    record(&store, vec![twice]).await;
}

pub(super) async fn an_append_sent_by_many_at_once_is_recorded_once(bench: &Bench<'_>) {
    let store = bench.store().await;
    for round in 0..ROUNDS {
        let name = format!("repeat-{round}");
        let plain = Append::new(vec![event(&name), event("repeat-all"), event(&name)]);
        let guarded = plain.clone().expect(stream(&name), Expected::NO_STREAM);
        let sent = if round % 2 == 0 { plain } else { guarded };
        let answers = race_appends(&store, (0..RACERS).map(|_| sent.clone())).await;
        let answers: Vec<_> = answers.into_iter().map(|answer| answer.expect("a repeat is answered")).collect();
        assert!(answers.iter().all(|answer| *answer == answers[0]), "one append has two answers: {answers:?}");
        assert_eq!(everything(&store).await.len(), (round + 1) * sent.events.len(), "an append is recorded twice");
    }
}
