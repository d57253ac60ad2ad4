//! Limits: what is exactly at one is taken, what is one over is refused and records nothing.

use bytes::Bytes;

use super::bench::Bench;
use super::builders::{accept, event, events, everything, head, record, refuse, select, stream, tag};
use crate::limits::{
    APPEND_BYTES_MAX, APPEND_EVENTS_MAX, EVENT_BYTES_MAX, EXPECTATIONS_MAX, METADATA_BYTES_MAX, SELECTOR_TERMS_MAX,
    SELECTORS_MAX, TAGS_MAX,
};
use crate::{
    AnyStore, Append, AppendError, EventType, Expected, InvalidAppend, Metadata, NewEvent, Payload, Position, Query, Read,
    Selector, Store, StoreErrorKind, StreamName, Version,
};

/// The append is refused for a limit, by its numbers, and the store is as it was.
async fn check_over(store: &AnyStore, append: Append, over: usize, limit: usize) {
    match refuse(store, append).await {
        AppendError::Invalid(InvalidAppend::Limit(told)) => assert_eq!((told.actual, told.max), (over, limit)),
        other => panic!("what is over a limit is refused with {other:?}"),
    }
}

fn with_data(data: Bytes) -> NewEvent {
    NewEvent { payload: Payload::json(data), ..event("limit-a") }
}

pub(super) async fn an_append_at_the_limit_of_events_is_recorded_and_one_over_is_not(bench: &Bench<'_>) {
    let store = bench.store().await;
    let mut given = events("limit-a", APPEND_EVENTS_MAX + 1);
    check_over(&store, Append::new(given.clone()), APPEND_EVENTS_MAX + 1, APPEND_EVENTS_MAX).await;
    given.pop();
    let recorded = record(&store, given.clone()).await;
    assert_eq!(recorded.positions.through, Position::new(APPEND_EVENTS_MAX as u64));
    assert_eq!(recorded.versions, [(stream("limit-a"), Version::new(APPEND_EVENTS_MAX as u64))]);
    let found = everything(&store).await;
    assert!(found.iter().map(|event| event.id).eq(given.iter().map(|event| event.id)), "not all of the events are there");
    assert_eq!(record(&store, given).await, recorded, "so large an append is a repeat like any other");
}

pub(super) async fn an_append_at_the_limit_of_bytes_is_recorded_and_one_over_is_not(bench: &Bench<'_>) {
    let store = bench.store().await;
    let data = Bytes::from(vec![7; EVENT_BYTES_MAX]);
    let mut given: Vec<NewEvent> = (0..APPEND_BYTES_MAX / EVENT_BYTES_MAX).map(|_| with_data(data.clone())).collect();
    let one_byte = NewEvent { metadata: Metadata::default().actor("a"), ..with_data(Bytes::new()) };
    given.push(one_byte);
    check_over(&store, Append::new(given.clone()), APPEND_BYTES_MAX + 1, APPEND_BYTES_MAX).await;
    given.last_mut().expect("one was pushed").metadata = Metadata::default();
    let recorded = record(&store, given.clone()).await;
    assert_eq!(recorded.positions.through, Position::new(given.len() as u64));
    for (event, given) in everything(&store).await.iter().zip(&given) {
        assert!(event.payload == given.payload, "the data of event {} has changed", event.position);
    }
}

pub(super) async fn data_at_its_limit_is_recorded_and_one_over_is_not(bench: &Bench<'_>) {
    let store = bench.store().await;
    let data = Bytes::from(vec![7; EVENT_BYTES_MAX + 1]);
    check_over(&store, Append::new(vec![with_data(data.clone())]), data.len(), EVENT_BYTES_MAX).await;
    let given = with_data(data.slice(1..));
    record(&store, vec![event("limit-a"), given.clone()]).await;
    let found = everything(&store).await;
    assert!(found[1].payload == given.payload, "{} bytes came back as {}", given.payload.data.len(), found[1].payload.data.len());
}

pub(super) async fn metadata_at_its_limit_is_recorded_and_one_over_is_not(bench: &Bench<'_>) {
    let store = bench.store().await;
    // Texts of two bytes a character: it is bytes that count.
    let text = "é".repeat(METADATA_BYTES_MAX / 8);
    let metadata = Metadata::default().actor(&text).header(&text, "é".repeat(METADATA_BYTES_MAX / 4));
    let given = NewEvent { metadata, ..event("limit-a") };
    let over = NewEvent { metadata: given.metadata.clone().traceparent("0"), ..event("limit-a") };
    check_over(&store, Append::new(vec![over]), METADATA_BYTES_MAX + 1, METADATA_BYTES_MAX).await;
    record(&store, vec![given.clone()]).await;
    assert!(everything(&store).await[0].metadata == given.metadata, "metadata of 64 KiB has changed");
}

pub(super) async fn tags_at_their_limit_are_recorded_and_one_over_is_not(bench: &Bench<'_>) {
    let store = bench.store().await;
    let mut tags: Vec<_> = (0..=TAGS_MAX).map(|number| tag(&format!("number:{number}"))).collect();
    let over = NewEvent { tags: tags.clone(), ..event("limit-a") };
    check_over(&store, Append::new(vec![event("limit-a"), over]), TAGS_MAX + 1, TAGS_MAX).await;
    tags.pop();
    record(&store, vec![NewEvent { tags: tags.clone(), ..event("limit-a") }]).await;
    assert_eq!(everything(&store).await[0].tags, tags);
}

pub(super) async fn expectations_at_their_limit_are_checked_and_one_over_is_not(bench: &Bench<'_>) {
    let store = bench.store().await;
    let names: Vec<StreamName> = (0..=EXPECTATIONS_MAX).map(|number| stream(&format!("limit-{number}"))).collect();
    let mut append = Append::new(vec![event("limit-a")]);
    append.expected = names.into_iter().map(|name| (name, Expected::NO_STREAM)).collect();
    check_over(&store, append.clone(), EXPECTATIONS_MAX + 1, EXPECTATIONS_MAX).await;
    append.expected.pop();
    accept(&store, append.clone()).await;
    let (last, _) = append.expected.last().expect("there are thousands").clone();
    record(&store, vec![event(last.as_str())]).await;
    append.events = vec![event("limit-a")];
    refuse(&store, append).await;
}

pub(super) async fn a_query_at_its_limits_is_answered_and_one_over_is_not(bench: &Bench<'_>) {
    let store = bench.store().await;
    record(&store, vec![event("limit-a")]).await;
    for (limit, query) in [
        (SELECTORS_MAX, many_selectors as fn(usize) -> Query),
        (SELECTOR_TERMS_MAX, many_types as fn(usize) -> Query),
        (SELECTOR_TERMS_MAX, many_tags as fn(usize) -> Query),
    ] {
        let (at, over) = (query(limit), query(limit + 1));
        let found = select(&store, at.clone()).await;
        let condition = Append::new(vec![event("limit-b")]).condition(at, Position::START);
        if found.is_empty() {
            accept(&store, condition).await;
        } else {
            refuse(&store, condition).await;
        }
        let before = head(&store).await;
        let refusal = store.read(Read::new(over.clone())).await.expect_err("a query over its limit is answered");
        assert_eq!(refusal.kind(), StoreErrorKind::Invalid, "{refusal:?}");
        check_over(&store, Append::new(vec![event("limit-b")]).condition(over, before), limit + 1, limit).await;
    }
}

fn many_selectors(count: usize) -> Query {
    Query { selectors: (0..count).map(|number| Selector::default().tag(tag(&format!("number:{number}")))).collect() }
}

fn many_types(count: usize) -> Query {
    let name = |number| if number == 0 { "Happened".to_owned() } else { format!("Never{number}") };
    let event_types = (0..count).map(|number| EventType::new(name(number)).expect("it is a name")).collect();
    Selector { event_types, ..Selector::default() }.into()
}

fn many_tags(count: usize) -> Query {
    Selector { tags: (0..count).map(|number| tag(&format!("number:{number}"))).collect(), ..Selector::default() }.into()
}

pub(super) async fn two_expectations_of_one_stream_are_refused(bench: &Bench<'_>) {
    let store = bench.store().await;
    let name = stream("limit-a");
    for second in [Expected::Any, Expected::NO_STREAM, Expected::Exists] {
        let append = Append::new(vec![event("limit-a")]).expect(name.clone(), Expected::NO_STREAM);
        match refuse(&store, append.expect(stream("limit-b"), Expected::Any).expect(name.clone(), second)).await {
            AppendError::Invalid(InvalidAppend::ExpectedTwice { stream }) => assert_eq!(stream, name),
            other => panic!("two expectations of one stream are refused with {other:?}"),
        }
    }
}
