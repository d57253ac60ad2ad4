//! Queries: types, tags and scopes, alone and together.

use super::bench::Bench;
use super::builders::{
    event, event_type, events, of_types, positions, range, read_all, record, stream, tag, typed, versions, with_tags,
};
use crate::{AnyStore, Category, EventId, Metadata, NewEvent, Query, Read, RecordedEvent, Scope, Selector};

/// Twelve events, and queries with the positions of those that each selects.
pub(super) async fn corpus(store: &AnyStore) -> Vec<(Query, Vec<u64>)> {
    let make = |name: &str, type_name: &str, tags: &[&str]| NewEvent {
        tags: tags.iter().map(|text| tag(text)).collect(),
        ..typed(name, type_name)
    };
    let given = vec![
        make("course-1", "Defined", &["course:1"]),
        make("course-2", "Defined", &["course:2"]),
        make("student-1", "Enrolled", &["student:1", "course:1"]),
        make("student-2", "Enrolled", &["student:2", "course:1"]),
        make("student-1", "Enrolled", &["student:1", "course:2"]),
        make("course-1", "Closed", &["course:1"]),
        make("course", "Noted", &[]),
        make("courses-1", "Noted", &["note:course:1"]),
        make("-1", "Noted", &["course:10"]),
        make("course-1-a", "Defined", &["course:1", "course:2"]),
        make("student-1", "Left", &["student:1", "course:1"]),
        make("course-2", "Closed", &["course:2", "closed:yes"]),
    ];
    for event in given {
        record(store, vec![event]).await;
    }
    let mut cases = plain_cases();
    cases.extend(joined_cases());
    cases.extend(scope_cases());
    cases
}

fn plain_cases() -> Vec<(Query, Vec<u64>)> {
    vec![
        (Query::all(), (1..=12).collect()),
        (Query::none(), vec![]),
        (of_types(&["Defined"]), vec![1, 2, 10]),
        (of_types(&["Closed", "Left"]), vec![6, 11, 12]),
        (of_types(&["Closed", "Never"]), vec![6, 12]),
        (of_types(&["defined"]), vec![]),
        (with_tags(&["course:1"]), vec![1, 3, 4, 6, 10, 11]),
        (with_tags(&["course:2"]), vec![2, 5, 10, 12]),
        (with_tags(&["course:1", "course:2"]), vec![10]),
        (with_tags(&["student:1", "course:1"]), vec![3, 11]),
        (with_tags(&["course:1", "student:1"]), vec![3, 11]),
        (with_tags(&["student:1", "course:1", "of:nobody"]), vec![]),
        (with_tags(&["course:3"]), vec![]),
        (with_tags(&["note:course:1"]), vec![8]),
    ]
}

fn joined_cases() -> Vec<(Query, Vec<u64>)> {
    let typed = |name: &str| Selector::default().event_type(event_type(name));
    vec![
        (typed("Defined").tag(tag("course:2")).into(), vec![2, 10]),
        (typed("Enrolled").event_type(event_type("Left")).tag(tag("course:1")).into(), vec![3, 4, 11]),
        (with_tags(&["student:2"]).or(typed("Left")), vec![4, 11]),
        (with_tags(&["course:1"]).or(typed("Defined")).or(typed("Noted")), vec![1, 2, 3, 4, 6, 7, 8, 9, 10, 11]),
        (Query::none().or(typed("Left")).or(typed("Left")), vec![11]),
        (Query::all().or(typed("Left")), (1..=12).collect()),
        (of_types(&["Never"]).or(Selector::default().tag(tag("closed:yes"))), vec![12]),
    ]
}

fn scope_cases() -> Vec<(Query, Vec<u64>)> {
    let category = |name: &str| Selector::category(name.parse::<Category>().expect("the suite's own categories are names"));
    let of_student = Selector::stream(stream("student-1"));
    vec![
        (Query::stream(stream("student-1")), vec![3, 5, 11]),
        (Query::stream(stream("course-1")), vec![1, 6]),
        (Query::stream(stream("student-3")), vec![]),
        (of_student.clone().event_type(event_type("Left")).into(), vec![11]),
        (of_student.tag(tag("course:2")).into(), vec![5]),
        (category("course").into(), vec![1, 2, 6, 7, 10, 12]),
        (category("courses").into(), vec![8]),
        (category("-1").into(), vec![9]),
        (category("course-1").into(), vec![]),
        (category("course").event_type(event_type("Closed")).tag(tag("course:2")).into(), vec![12]),
        (Query::from(category("courses")).or(Selector::stream(stream("course-2"))), vec![2, 8, 12]),
        (versions("student-1", 0, 2), vec![3, 5]),
    ]
}

pub(super) async fn a_query_selects_what_its_selectors_say(bench: &Bench<'_>) {
    let store = bench.store().await;
    for (query, selected) in corpus(&store).await {
        assert_eq!(positions(&store, query.clone()).await, selected, "{query:?}");
        let numbers = |events: Vec<RecordedEvent>| events.iter().map(|event| event.position.get()).collect::<Vec<u64>>();
        for limit in [1, 2, 5] {
            let part = Read::new(query.clone()).limit(limit).range(range(2, 10));
            let within: Vec<u64> = selected.iter().copied().filter(|position| (3..=10).contains(position)).collect();
            assert_eq!(numbers(read_all(&store, part.clone()).await), within, "{query:?} after 2 through 10");
            let backward: Vec<u64> = within.iter().rev().copied().collect();
            assert_eq!(numbers(read_all(&store, part.backward()).await), backward, "{query:?} backward after 2 through 10");
        }
    }
}

pub(super) async fn an_event_that_two_selectors_select_is_returned_once(bench: &Bench<'_>) {
    let store = bench.store().await;
    let given = NewEvent { tags: vec![tag("of:x"), tag("of:y")], ..typed("query-a", "Opened") };
    record(&store, vec![event("query-a"), given.clone(), event("query-a")]).await;
    let every_way = with_tags(&["of:x"])
        .or(Selector::default().tag(tag("of:y")))
        .or(Selector::default().tag(tag("of:x")).event_type(event_type("Opened")))
        .or(Selector::default().event_type(event_type("Opened")))
        .or(Selector::from(Scope::Event(given.id)));
    for limit in [1, 2, 100] {
        for read in [Read::new(every_way.clone()).limit(limit), Read::new(every_way.clone()).limit(limit).backward()] {
            let found = read_all(&store, read).await;
            assert!(found.iter().map(|event| event.id).eq([given.id]), "one event is returned {} times", found.len());
        }
    }
}

pub(super) async fn a_query_for_nothing_finds_nothing(bench: &Bench<'_>) {
    let store = bench.store().await;
    record(&store, events("query-a", 3)).await;
    for query in [Query::none(), of_types(&["Never"]), with_tags(&["of:nobody"]), Query::stream(stream("query-b"))] {
        for read in [Read::new(query.clone()), Read::new(query.clone()).backward()] {
            assert_eq!(read_all(&store, read).await, [], "{query:?}");
        }
    }
}

pub(super) async fn versions_of_a_stream_are_a_range_of_it(bench: &Bench<'_>) {
    let store = bench.store().await;
    for _ in 0..5 {
        record(&store, vec![event("query-b"), event("query-a"), event("query-c")]).await;
    }
    for after in (0..=6).chain([u64::MAX]) {
        for through in (0..=6).chain([u64::MAX]) {
            let expected: Vec<u64> = (1..=5).filter(|version| after < *version && *version <= through).collect();
            let query = versions("query-a", after, through);
            let positions: Vec<u64> = expected.iter().map(|version| version * 3 - 1).collect();
            assert_eq!(super::builders::positions(&store, query.clone()).await, positions, "after {after} through {through}");
            let first = read_all(&store, Read::new(query).limit(1).backward()).await;
            assert!(first.iter().map(|event| event.version.get()).eq(expected.iter().rev().copied()));
        }
    }
}

pub(super) async fn events_are_found_by_id_conversation_and_cause(bench: &Bench<'_>) {
    let store = bench.store().await;
    let first = event("query-a");
    let in_talk = |cause: EventId| Metadata::default().correlation_id("Talk 1").causation_id(cause);
    let second = NewEvent { metadata: in_talk(first.id), ..event("query-b") };
    let third = NewEvent { metadata: in_talk(second.id), ..typed("query-a", "Opened") };
    let other = NewEvent { metadata: Metadata::default().correlation_id("talk 1").causation_id(first.id), ..event("query-a") };
    record(&store, vec![first.clone(), second.clone(), third, other]).await;
    let conversation = |id: &str| Selector::from(Scope::Correlation(id.to_owned()));
    for (selector, expected) in [
        (Scope::Event(first.id).into(), vec![1]),
        (Scope::Event(second.id).into(), vec![2]),
        (Scope::Event(EventId::new()).into(), vec![]),
        (Scope::CausedBy(first.id).into(), vec![2, 4]),
        (Scope::CausedBy(second.id).into(), vec![3]),
        (Scope::CausedBy(EventId::new()).into(), vec![]),
        (conversation("Talk 1"), vec![2, 3]),
        (conversation("talk 1"), vec![4]),
        (conversation("Talk"), vec![]),
        (conversation(""), vec![]),
        (conversation("Talk 1").event_type(event_type("Opened")), vec![3]),
        (Selector::from(Scope::Event(first.id)).event_type(event_type("Opened")), vec![]),
    ] {
        assert_eq!(positions(&store, selector.clone().into()).await, expected, "{selector:?}");
    }
}
