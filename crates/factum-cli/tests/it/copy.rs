//! A copy by way of lines is faithful.

use factum::{AnyStore, Append, ContentType, EventId, Metadata, NewEvent, Payload, Query, Read, RecordedEvent, Store, Timestamp};
use serde_json::json;

use crate::factum::{Folder, member};

/// Events that are hard to write on a line.
fn hard() -> Vec<NewEvent> {
    let stream = || "zaak-1 \"ü\" 漢".parse().unwrap();
    let event = |content_type: &str, data: &[u8]| {
        let payload = Payload { content_type: ContentType::new(content_type.to_owned()).unwrap(), data: data.to_vec().into() };
        NewEvent::new(stream(), "Zaak geopend, \\ \"écht\"", payload).unwrap()
    };
    let json = "application/json";
    let mut events: Vec<_> = [
        event(json, b"{\"b\": 1.50,  \"a\":[1e400, 12345678901234567890123], \"a\":\"\\u00e9\\/\"}"),
        event(json, b"null"),
        event(json, b"\"text\""),
        event(json, b""),
        event(json, b" 1 "),
        event(json, b"{\n}"),
        event(json, b"{not json"),
        event(json, b"\xff\x00"),
        event("application/vnd.zaak+json; charset=utf-8", b"[1,  2]"),
        event("text/plain", b"\"quoted\""),
        event("application/octet-stream", &(0..=255).collect::<Vec<u8>>()),
        event("application/octet-stream", b""),
    ]
    .into();
    events[0].schema = 7;
    events[0].tags = ["zaak:1", "k:a,b", "k:\"[]\\"].map(|tag| tag.parse().unwrap()).into();
    events[1].metadata = Metadata::default()
        .actor("Ann \"the\"\nBoss")
        .correlation_id("7")
        .causation_id(events[0].id)
        .traceparent("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
        .occurred_at(Timestamp::from_micros(-1))
        .header("ce-id", "kept")
        .header("specversion", "kept")
        .header("with space, ü", "\u{1}\n");
    events[2].metadata = Metadata::default().actor("").correlation_id("");
    events
}

fn recorded(folder: &Folder, store: &str) -> Vec<RecordedEvent> {
    let store = AnyStore::new(factum_embedded::open_read_only(folder.path(store)).unwrap());
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(store.read(Read::new(Query::all()))).unwrap().events
}

/// What a copy is to have: all but where and when the store recorded it. A copy knows when the original happened.
fn essence(event: &RecordedEvent) -> NewEvent {
    let RecordedEvent { id, stream, event_type, schema, tags, mut metadata, payload, recorded_at, .. } = event.clone();
    metadata.occurred_at = metadata.occurred_at.or(Some(recorded_at));
    NewEvent { id, stream, event_type, schema, tags, metadata, payload }
}

#[test]
fn read_and_append_make_a_faithful_copy() {
    let folder = Folder::new();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let store = factum_embedded::open(folder.path("store")).unwrap();
    runtime.block_on(store.append(Append::new(hard()))).unwrap();
    store.close();
    drop(store);
    let lines = folder.ok(&["read", "--format", "ndjson"]);
    assert_eq!(lines.lines().count(), hard().len());
    folder.feed(&["--dir", "copy", "append"], &lines).ok();
    folder.feed(&["--dir", "import", "import", "-"], &lines).ok();
    let originals: Vec<_> = recorded(&folder, "store").iter().map(essence).collect();
    for copy in ["copy", "import"] {
        let copies = recorded(&folder, copy);
        assert_eq!(copies.iter().map(essence).collect::<Vec<_>>(), originals, "{copy}");
        assert!(copies.iter().zip(&originals).all(|(copy, original)| copy.metadata == original.metadata));
    }
}

#[test]
fn an_event_of_another_system_loses_nothing() {
    let folder = Folder::new();
    let event = json!({
        "specversion": "1.0", "id": "A-1", "source": "https://shop.example/", "type": "com.example.placed", "subject": "order-1",
        "time": "2018-04-05T17:31:00+02:00", "datacontenttype": "text/xml", "data": "<much wow=\"xml\"/>",
        "dataschema": "https://shop.example/s", "partitionkey": "eu", "retries": 3, "sampled": true, "causationid": "A-0",
    });
    let cause = json!({"specversion": "1.0", "id": "A-0", "source": "https://shop.example/", "type": "T", "subject": "order-1"});
    folder.feed(&["append"], format!("{cause}\n{event}\n")).ok();
    let stored = recorded(&folder, "store").remove(1);
    assert_eq!(&stored.payload.data[..], b"<much wow=\"xml\"/>");
    assert_eq!(stored.metadata.causation_id, Some(recorded(&folder, "store")[0].id));
    assert_eq!(stored.metadata.occurred_at, Some("2018-04-05T15:31:00Z".parse().unwrap()));
    for (name, value) in [
        ("ce-id", "A-1"),
        ("ce-source", "https://shop.example/"),
        ("ce-causationid", "A-0"),
        ("dataschema", "https://shop.example/s"),
        ("partitionkey", "eu"),
        ("retries", "3"),
        ("sampled", "true"),
    ] {
        assert_eq!(stored.metadata.headers.get(name).map(String::as_str), Some(value), "{name}");
    }
    // The same event again is the same event, and its line is read back as it is.
    folder.feed(&["append"], format!("{cause}\n{event}\n")).ok();
    let lines = folder.ok(&["read"]);
    folder.feed(&["--dir", "copy", "append"], &lines).ok();
    let copies: Vec<_> = recorded(&folder, "copy").iter().map(essence).collect();
    assert_eq!(copies, recorded(&folder, "store").iter().map(essence).collect::<Vec<_>>());
    let events = folder.run(&["read"]).values();
    assert_eq!(member(&events, "source"), ["https://shop.example/"; 2]);
    assert!(events[1]["id"].as_str().unwrap().parse::<EventId>().is_ok());
}
