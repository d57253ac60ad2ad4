//! Positions and versions: from one, without gaps, in the order of recording.

use super::bench::Bench;
use super::builders::{accept, consumer, event, events, everything, head, positions, record, refuse, stream, version, with_tags};
use super::builders::{conflict, of_types, tagged, typed};
use crate::{
    Append, Conflict, Expected, Metadata, NewEvent, Position, Query, Range, Read, ReadStreams, Store, Timestamp, Version,
};

pub(super) async fn a_new_store_is_empty(bench: &Bench<'_>) {
    let store = bench.store().await;
    assert_eq!(head(&store).await, Position::START);
    for read in [Read::new(Query::all()), Read::new(Query::all()).backward()] {
        let page = store.read(read).await.expect("an empty store can be read");
        assert_eq!((page.events.len(), page.rest, page.head), (0, None, Position::START));
    }
    let streams = store.streams(ReadStreams::default()).await.expect("the streams of an empty store can be read");
    assert_eq!((streams.streams.len(), streams.rest), (0, None));
}

pub(super) async fn positions_and_versions_begin_at_one_and_have_no_gaps(bench: &Bench<'_>) {
    let store = bench.store().await;
    let (a, b) = (stream("order-a"), stream("order-b"));
    let first = record(&store, vec![event("order-a")]).await;
    assert_eq!(first.positions, Range { after: Position::START, through: Position::new(1) });
    assert_eq!(first.versions, [(a.clone(), Version::new(1))]);
    let second = record(&store, vec![event("order-b"), event("order-a"), event("order-b")]).await;
    assert_eq!(second.positions, Range { after: Position::new(1), through: Position::new(4) });
    assert_eq!(
        second.versions,
        [(b, Version::new(2)), (a, Version::new(2))],
        "versions stand in the order of the streams' first events"
    );
    record(&store, events("order-b", 3)).await;
    let found: Vec<_> =
        everything(&store).await.iter().map(|e| (e.position.get(), e.stream.to_string(), e.version.get())).collect();
    let expected = [(1, "a", 1), (2, "b", 1), (3, "a", 2), (4, "b", 2), (5, "b", 3), (6, "b", 4), (7, "b", 5)];
    assert_eq!(found, expected.map(|(position, name, version)| (position, format!("order-{name}"), version)));
    assert_eq!(head(&store).await, Position::new(7));
}

pub(super) async fn a_refused_append_takes_no_position_and_no_version(bench: &Bench<'_>) {
    let store = bench.store().await;
    let name = stream("order-a");
    let original = tagged("order-a", &["of:a"]);
    accept(&store, Append::new(vec![original.clone()]).consumed(consumer("reader"), Position::new(5))).await;
    let twice = event("order-a");
    let one = || Append::new(vec![event("order-a")]);
    let refused = [
        one().expect(name.clone(), Expected::NO_STREAM),
        one().condition(with_tags(&["of:a"]), Position::START),
        Append::new(vec![event("order-a"), original]),
        one().consumed(consumer("reader"), Position::new(5)),
        Append::new(vec![twice.clone(), twice]),
    ];
    for (number, append) in (2..).zip(refused) {
        refuse(&store, append).await;
        let next = record(&store, vec![event("order-a")]).await;
        assert_eq!(next.positions.through, Position::new(number), "a refused append took a position");
        assert_eq!(next.versions, [(name.clone(), Version::new(number))], "a refused append took a version");
        assert_eq!(version(&store, &name).await, Version::new(number), "a refused append moved the version that is read");
    }
    assert_eq!(positions(&store, Query::all()).await, [1, 2, 3, 4, 5, 6]);
}

pub(super) async fn events_keep_their_order_within_an_append(bench: &Bench<'_>) {
    const EVENTS: usize = 100;
    let store = bench.store().await;
    let names = ["order-c", "order-a", "order-b"];
    let given: Vec<NewEvent> = (0..EVENTS).map(|number| event(names[number * number % names.len()])).collect();
    record(&store, given.clone()).await;
    let found = everything(&store).await;
    let ids =
        |name: &str| -> Vec<_> { given.iter().filter(|event| event.stream == stream(name)).map(|event| event.id).collect() };
    assert!(found.iter().map(|event| event.id).eq(given.iter().map(|event| event.id)), "the events have changed places");
    for name in names {
        let of_stream = super::builders::select(&store, Query::stream(stream(name))).await;
        assert!(of_stream.iter().map(|event| event.id).eq(ids(name)), "the events of {name} have changed places");
        assert!(of_stream.iter().map(|event| event.version.get()).eq(1..=of_stream.len() as u64), "{name} has a gap");
    }
}

pub(super) async fn the_order_is_that_of_recording_whatever_the_events_say(bench: &Bench<'_>) {
    let store = bench.store().await;
    let mut ids: Vec<_> = (0..8).map(|_| event("order-a").id).collect();
    ids.reverse();
    for (number, id) in (0..).zip(&ids) {
        let metadata = Metadata::default().occurred_at(Timestamp::from_micros(-number));
        record(&store, vec![NewEvent { id: *id, metadata, ..event("order-a") }]).await;
        // Where the clock stands or goes back, positions go on.
        bench.clock.set(Timestamp::from_micros(1_000_000 - number));
    }
    let found: Vec<_> = everything(&store).await.iter().map(|event| event.id).collect();
    assert_eq!(found, ids, "the order of recording is not that of reading");
}

pub(super) async fn an_append_without_events_only_checks(bench: &Bench<'_>) {
    let store = bench.store().await;
    let nothing = accept(&store, Append::new(Vec::new())).await;
    let at = |position| Range { after: position, through: position };
    assert_eq!((nothing.positions, nothing.versions.len(), nothing.recorded_at), (at(Position::START), 0, None));
    let recorded = record(&store, vec![typed("order-a", "Opened")]).await;
    let name = stream("order-a");
    let check = Append::default().expect(name.clone(), Expected::Exact(Version::new(1)));
    let checked = accept(&store, check.condition(of_types(&["Opened"]), Position::new(1))).await;
    assert_eq!((checked.positions, checked.versions.len()), (at(Position::new(1)), 0));
    assert_eq!(checked.recorded_at, recorded.recorded_at, "the time is that of the last event");
    let stale = refuse(&store, Append::default().expect(name.clone(), Expected::NO_STREAM)).await;
    let expected = Conflict::Stream { stream: name, expected: Expected::NO_STREAM, actual: Version::new(1) };
    assert_eq!(conflict(stale), expected);
    let stale = refuse(&store, Append::default().condition(of_types(&["Opened"]), Position::START)).await;
    assert_eq!(conflict(stale), Conflict::Condition { after: Position::START, actual: Position::new(1) });
    assert_eq!(positions(&store, Query::all()).await, [1]);
}
