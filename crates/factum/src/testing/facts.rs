//! Facts: events as the test kit records and compares them.

use std::collections::HashMap;
use std::fmt::{self, Debug};

use serde_json::Value;

use crate::{Aggregate, Draft, Event, Payload, Position, RecordedEvent, StreamName, Tag, Timestamp, Version};

/// An event as it is compared: all of it but its id, its metadata and its place.
#[derive(Clone, PartialEq)]
pub struct Fact {
    event_type: String,
    schema: u32,
    stream: StreamName,
    tags: Vec<Tag>,
    data: Data,
}

/// An event's data, so that JSON is the same in whatever order its members are.
#[derive(Clone, PartialEq)]
enum Data {
    Json(Value),
    Bytes(Payload),
}

impl From<&Payload> for Data {
    fn from(payload: &Payload) -> Self {
        match serde_json::from_slice(&payload.data) {
            Ok(value) if payload.content_type.is_json() => Self::Json(value),
            _ => Self::Bytes(payload.clone()),
        }
    }
}

impl Debug for Data {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Json(value) => write!(f, "{value}"),
            Self::Bytes(payload) => write!(f, "{} bytes of {}", payload.data.len(), payload.content_type),
        }
    }
}

impl From<&RecordedEvent> for Fact {
    fn from(event: &RecordedEvent) -> Self {
        let RecordedEvent { event_type, schema, stream, tags, payload, .. } = event.clone();
        let mut tags = tags;
        tags.sort_unstable();
        Self { event_type: event_type.to_string(), schema, stream, tags, data: Data::from(&payload) }
    }
}

impl Debug for Fact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { event_type, schema, stream, tags, data } = self;
        write!(f, "{event_type} (schema {schema}) {data:?} in {stream}, tags {tags:?}")
    }
}

/// One indented line for each; or that there is none.
pub(super) fn lines(events: &[impl Debug]) -> String {
    if events.is_empty() {
        return " nothing".to_owned();
    }
    events.iter().map(|event| format!("\n  {event:?}")).collect()
}

/// Fails where a store would give another event back than this one.
#[track_caller]
pub(super) fn check_round_trip<A: Aggregate<Event: PartialEq + Debug>>(id: &A::Id, event: &A::Event) {
    let stored = match Draft::of::<A>(id, event).into_new_event() {
        Ok(stored) => stored,
        Err(error) => panic!("{event:?} cannot be stored: {error}"),
    };
    match A::Event::decode(stored.event_type.as_str(), stored.schema, &stored.payload) {
        Ok(Some(read)) if read == *event => {}
        Ok(Some(read)) => panic!("{event:?} is another event once it is stored: {read:?}"),
        Ok(None) => panic!("{event:?} is stored as {}, which its own type does not know", stored.event_type),
        Err(error) => panic!("{event:?} cannot be read back: {}", chain(&error)),
    }
}

/// The drafts as an empty store would record them, each read back.
#[track_caller]
pub(super) fn record(drafts: impl Iterator<Item = Draft>) -> Vec<RecordedEvent> {
    let mut versions: HashMap<StreamName, Version> = HashMap::new();
    let mut events = Vec::new();
    // A closure would hide the caller, whose line is to be shown.
    for draft in drafts {
        let event = reread(draft);
        let version = versions.entry(event.stream.clone()).or_default();
        *version = version.next();
        let position = Position::new(events.len() as u64 + 1);
        events.push(RecordedEvent::record(event, position, *version, Timestamp::from_micros(0)));
    }
    events
}

#[track_caller]
fn reread(draft: Draft) -> crate::NewEvent {
    let reread = draft.reread();
    let event = match draft.into_new_event() {
        Ok(event) => event,
        Err(error) => panic!("an event cannot be stored: {}", chain(&error)),
    };
    let name = &event.event_type;
    match reread.map(|reread| reread(&event)).transpose().map(Option::flatten) {
        Ok(Some(read)) if Data::from(&read) == Data::from(&event.payload) => event,
        Ok(Some(read)) => {
            panic!("{name} {:?} is another event once it is stored: {:?}", Data::from(&event.payload), Data::from(&read))
        }
        Ok(None) => panic!("{name} is stored under a name that its own type does not know"),
        Err(error) => panic!("{name} {:?} cannot be read back: {}", Data::from(&event.payload), chain(&error)),
    }
}

/// An error and what caused it, on one line.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |error| error.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}
