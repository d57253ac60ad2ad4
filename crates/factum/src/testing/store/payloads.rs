//! What an event carries comes back exactly as it was given.

use bytes::Bytes;

use super::bench::Bench;
use super::builders::{event, everything, positions, record, stream, tag, with_tags};
use crate::limits::{EVENT_BYTES_MAX, TAGS_MAX};
use crate::{ContentType, EventId, EventType, Metadata, NewEvent, Payload, Query, RecordedEvent, Selector, Tag, Timestamp};

/// The event as it was given, at the place where it was recorded.
fn recorded(given: NewEvent, found: &RecordedEvent) -> RecordedEvent {
    RecordedEvent::record(given, found.position, found.version, found.recorded_at)
}

/// Records the events, one by one, and checks that each comes back as it was given.
async fn check_round_trip(bench: &Bench<'_>, given: Vec<NewEvent>) {
    let store = bench.store().await;
    for event in &given {
        record(&store, vec![event.clone()]).await;
    }
    let found = everything(&store).await;
    assert_eq!(found.len(), given.len(), "events are missing, or there are too many");
    for (given, found) in given.into_iter().zip(found) {
        assert_eq!(found, recorded(given, &found));
    }
}

pub(super) async fn every_field_comes_back_as_it_was_given(bench: &Bench<'_>) {
    let id = |number: u128| EventId::from(uuid::Uuid::from_u128(number));
    let everything = Metadata::default()
        .actor("Zoë O'Neil \u{1F469}\u{200D}\u{1F680}")
        .correlation_id("bestellung-7\n\t\"quoted\"")
        .causation_id(id(u128::MAX - 1))
        .traceparent("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
        .occurred_at(Timestamp::from_micros(-1))
        .header("tenant", "eu")
        .header("заголовок", "значение")
        .header("見出し", "値")
        .header("כותרת", "ערך")
        .header("e\u{301}", "decomposed")
        .header("\u{e9}", "composed")
        .header("Tenant", "another")
        .header("", "without a name")
        .header("without a value", "")
        .header("control", "\0\u{1}\u{7f}\r\n");
    let empty_texts = Metadata::default().actor("").correlation_id("").traceparent("");
    let times = [i64::MIN, -14_831_769_600_000_000, -1, 0, 1, i64::MAX]
        .map(|micros| Metadata { occurred_at: Some(Timestamp::from_micros(micros)), ..Metadata::default() });
    let alone = [
        Metadata::default().actor("ann"),
        Metadata::default().correlation_id("talk"),
        Metadata::default().causation_id(id(0)),
        Metadata::default().traceparent("00"),
        Metadata::default().header("a", "b"),
    ];
    let metadata = [Metadata::default(), everything, empty_texts].into_iter().chain(times).chain(alone);
    let mut given: Vec<NewEvent> = metadata.map(|metadata| NewEvent { metadata, ..event("payload-a") }).collect();
    // UUIDs of any version, none included, are ids.
    given.extend([0, 1, u128::MAX].map(|number| NewEvent { id: id(number), ..event("payload-b") }));
    check_round_trip(bench, given).await;
}

pub(super) async fn any_bytes_come_back_as_they_were_given(bench: &Bench<'_>) {
    let every_byte: Vec<u8> = (0..=u8::MAX).collect();
    let contents: [&[u8]; 7] =
        [b"", b"\0", b"{\"a\": 1,  \"a\": 1.0}", b"\xff\xfe\x00\x80", b"not json", &every_byte, &[0; 5000]];
    let types = ["application/json", "application/octet-stream", "text/plain; charset=utf-8", "x"];
    let given = contents.into_iter().enumerate().map(|(number, data)| {
        let content_type = ContentType::new(types[number % types.len()]).expect("the suite's own content types are names");
        NewEvent { payload: Payload { content_type, data: Bytes::copy_from_slice(data) }, ..event("payload-a") }
    });
    check_round_trip(bench, given.collect()).await;
}

pub(super) async fn the_largest_payload_comes_back(bench: &Bench<'_>) {
    let store = bench.store().await;
    // No block of it is like another, so that a lost or a doubled one is seen.
    let data: Bytes = (0..EVENT_BYTES_MAX as u64 / 8).flat_map(u64::to_le_bytes).collect();
    let given = NewEvent { payload: Payload::json(data.clone()), ..event("payload-a") };
    record(&store, vec![event("payload-a"), given, event("payload-a")]).await;
    let found = everything(&store).await;
    let lengths: Vec<usize> = found.iter().map(|event| event.payload.data.len()).collect();
    assert_eq!(lengths, [2, EVENT_BYTES_MAX, 2]);
    assert!(found[1].payload.data == data, "the largest payload comes back changed");
}

pub(super) async fn unknown_event_types_and_schemas_are_carried(bench: &Bench<'_>) {
    let longest = "T".repeat(EventType::MAX_BYTES);
    let names =
        ["$internal", "com.example.order/placed.v7", "вещь сделана", "完了", "🎉", "a b", "null", "'; --", longest.as_str()];
    let mut given = Vec::new();
    for (number, name) in names.into_iter().enumerate() {
        let schema = [1, 0, 2, 70_000, u32::MAX][number % 5];
        let event_type = EventType::new(name.to_owned()).expect("the suite's own event types are names");
        given.push(NewEvent { event_type, schema, ..event("payload-a") });
    }
    check_round_trip(bench, given.clone()).await;
    let store = bench.store().await;
    record(&store, given.clone()).await;
    for (position, event) in (1..).zip(given) {
        let query = Query::from(Selector::default().event_type(event.event_type));
        assert_eq!(positions(&store, query.clone()).await, [position], "{query:?}");
    }
}

pub(super) async fn every_tag_finds_its_event(bench: &Bench<'_>) {
    let store = bench.store().await;
    let long = |number: usize| {
        let key = format!("{number}:");
        tag(&format!("{key}{}", "v".repeat(Tag::MAX_BYTES - key.len())))
    };
    let most: Vec<Tag> = (0..TAGS_MAX).map(long).collect();
    let scripts =
        ["город:Москва", "都市:東京", "עיר:ירושלים", "🌍:🎉", "k:e\u{301}", "k:\u{e9}", "k:a b", "K:a b", "k:%", "k:a:b"];
    let strange: Vec<Tag> = scripts.iter().map(|text| tag(text)).collect();
    let given = [most, strange].map(|tags| NewEvent { tags, ..event("payload-a") });
    // A condition guards one of them, none the other: both write their tags.
    record(&store, vec![event("payload-a"), given[0].clone()]).await;
    let guarded = crate::Append::new(vec![given[1].clone()]).condition(Query::none(), crate::Position::START);
    super::builders::accept(&store, guarded).await;
    let found = everything(&store).await;
    for (position, event) in (2..).zip(&given) {
        assert_eq!(found[position as usize - 1].tags, event.tags, "the tags have changed");
        for tag in &event.tags {
            assert_eq!(positions(&store, Selector::default().tag(tag.clone()).into()).await, [position], "{tag}");
        }
        let all = Selector { tags: event.tags.clone(), ..Selector::default() };
        assert_eq!(positions(&store, all.into()).await, [position], "all of the tags together");
    }
}

pub(super) async fn a_tag_given_twice_is_harmless(bench: &Bench<'_>) {
    let store = bench.store().await;
    let tags = vec![tag("of:x"), tag("of:y"), tag("of:x")];
    record(&store, vec![NewEvent { tags, ..event("payload-a") }, event("payload-a")]).await;
    for tags in [&["of:x"][..], &["of:y"], &["of:x", "of:x"], &["of:y", "of:x"]] {
        assert_eq!(positions(&store, with_tags(tags)).await, [1], "{tags:?}");
    }
    let found = everything(&store).await;
    assert!(["of:x", "of:y"].iter().all(|text| found[0].tags.contains(&tag(text))), "{:?}", found[0].tags);
    assert_eq!(positions(&store, Query::stream(stream("payload-a"))).await, [1, 2]);
}
