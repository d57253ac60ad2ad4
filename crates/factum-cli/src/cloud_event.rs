//! An event as a CloudEvent 1.0 in JSON, on one line, and back.
//!
//! A line that was written here is read back as the same event: id, stream, type, schema, tags, metadata and data, byte for
//! byte. What CloudEvents has no attribute for is in extensions: `streamversion`, `position`, `recordedtime`, `schemaversion`
//! (where it is not 1), `causationid`, `correlationid`, `traceparent`, `actor`, `tags` and `headers`. The last two are JSON in a
//! text: an array of tags, an object of texts. `time` is when it happened, or else when it was recorded; so a copy knows when
//! the original was. Data that is no JSON, or not on one line, is in `data_base64`.
//!
//! Events of others lose nothing either: an `id` that is no UUID becomes one that is derived from `source` and `id`, and
//! what has no place of its own goes to a header: the original id as `ce-id`, `source` as `ce-source`, extensions by their names.

use std::collections::BTreeMap;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use factum::{ContentType, EventId, EventType, Metadata, NewEvent, Payload, RecordedEvent, StreamName, Tag};
use serde::Serialize;
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::exit::Failure;
use crate::input::Lines;

/// The `source` of events that name none.
const SOURCE: &str = "factum";
const SOURCE_HEADER: &str = "ce-source";
const ID_HEADER: &str = "ce-id";
const CAUSE_HEADER: &str = "ce-causationid";

/// A recorded event, as it is written.
#[derive(Serialize)]
pub(crate) struct CloudEvent<'a> {
    specversion: &'static str,
    id: String,
    source: &'a str,
    #[serde(rename = "type")]
    event_type: &'a str,
    subject: &'a str,
    time: String,
    datacontenttype: &'a str,
    #[serde(skip_serializing_if = "is_first_schema")]
    schemaversion: u32,
    streamversion: u64,
    position: String,
    recordedtime: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    causationid: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    correlationid: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    traceparent: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    actor: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tags: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    headers: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data_base64: Option<String>,
}

fn is_first_schema(schema: &u32) -> bool {
    *schema == 1
}

impl<'a> From<&'a RecordedEvent> for CloudEvent<'a> {
    fn from(event: &'a RecordedEvent) -> Self {
        let metadata = &event.metadata;
        let data = json_on_a_line(&event.payload);
        Self {
            specversion: "1.0",
            id: event.id.to_string(),
            source: metadata.headers.get(SOURCE_HEADER).filter(|source| !source.is_empty()).map_or(SOURCE, String::as_str),
            event_type: event.event_type.as_str(),
            subject: event.stream.as_str(),
            time: metadata.occurred_at.unwrap_or(event.recorded_at).to_string(),
            datacontenttype: event.payload.content_type.as_str(),
            schemaversion: event.schema,
            streamversion: event.version.get(),
            position: event.position.to_string(),
            recordedtime: event.recorded_at.to_string(),
            causationid: metadata.causation_id.map(|id| id.to_string()),
            correlationid: metadata.correlation_id.as_deref(),
            traceparent: metadata.traceparent.as_deref(),
            actor: metadata.actor.as_deref(),
            tags: (!event.tags.is_empty()).then(|| json_text(&event.tags.iter().map(Tag::as_str).collect::<Vec<_>>())),
            headers: (!metadata.headers.is_empty()).then(|| json_text(&metadata.headers)),
            data,
            data_base64: data.is_none().then(|| BASE64_STANDARD.encode(&event.payload.data)),
        }
    }
}

fn json_text(texts: &impl Serialize) -> String {
    serde_json::to_string(texts).expect("texts are JSON")
}

/// The payload, where it can stand in a line and be read back as the same bytes.
pub(crate) fn json_on_a_line(payload: &Payload) -> Option<&RawValue> {
    if !is_json(&payload.content_type) || payload.data.contains(&b'\n') || payload.data.contains(&b'\r') {
        return None;
    }
    let json: &RawValue = serde_json::from_slice(&payload.data).ok()?;
    // Space around the value would not be read back.
    (json.get().len() == payload.data.len()).then_some(json)
}

/// Whether data of this type is JSON, as CloudEvents has it: `application/json`, or `application/geo+json; charset=utf-8`.
fn is_json(content_type: &ContentType) -> bool {
    let essence = content_type.as_str().split(';').next().unwrap_or_default().trim_end().to_ascii_lowercase();
    essence.ends_with("/json") || essence.ends_with("+json")
}

/// Reads the event of the next line; none at the end.
///
/// It goes to the line's `subject`; where it has none, to `stream`. A line is refused where there are both and they differ.
pub(crate) fn next(lines: &mut Lines, stream: Option<&StreamName>) -> Result<Option<NewEvent>, Failure> {
    let Some(line) = lines.next()? else { return Ok(None) };
    parse(&line, stream).map(Some).map_err(|failure| failure.context(lines.place()))
}

fn parse(line: &str, stream: Option<&StreamName>) -> Result<NewEvent, Failure> {
    let attributes = serde_json::from_str(line).map_err(|error| {
        Failure::failed(format!("not a JSON object: {error}")).hint(format!("write one CloudEvent a line, such as {EXAMPLE}"))
    })?;
    Attributes(attributes).event(stream)
}

const EXAMPLE: &str = r#"{"specversion":"1.0","id":"1","source":"shop","type":"OrderPlaced","subject":"order-42","data":{}}"#;

/// The members of a line that are still to be read.
struct Attributes<'a>(BTreeMap<String, &'a RawValue>);

impl Attributes<'_> {
    fn event(mut self, stream: Option<&StreamName>) -> Result<NewEvent, Failure> {
        if self.required("specversion")? != "1.0" {
            return Err(Failure::failed("`specversion` is not \"1.0\", the only version of CloudEvents that is read"));
        }
        let (source, id) = (self.required("source")?, self.required("id")?);
        let event_type = EventType::new(self.required("type")?)?;
        let stream = self.stream(stream)?;
        let schema = self.schema()?;
        let tags = self.tags()?;
        let payload = self.payload()?;
        Ok(NewEvent {
            id: event_id(&source, &id),
            stream,
            event_type,
            schema,
            tags,
            metadata: self.metadata(source, id)?,
            payload,
        })
    }

    fn stream(&mut self, stream: Option<&StreamName>) -> Result<StreamName, Failure> {
        match (self.parsed::<StreamName>("subject")?, stream) {
            (Some(subject), Some(stream)) if subject != *stream => {
                let message = format!("`subject` is {subject}, and not the stream {stream} that the command names");
                Err(Failure::failed(message).hint("leave STREAM out to append each line to its own `subject`"))
            }
            (Some(stream), _) => Ok(stream),
            (None, Some(stream)) => Ok(stream.clone()),
            (None, None) => {
                let message = "there is no `subject` that names the stream";
                Err(Failure::failed(message).hint("give each line a `subject`, or append with `factum append STREAM`"))
            }
        }
    }

    fn schema(&mut self) -> Result<u32, Failure> {
        match self.0.remove("schemaversion") {
            None => Ok(1),
            Some(json) => match json.get().trim_matches('"').parse() {
                Ok(schema) if 0 < schema => Ok(schema),
                _ => Err(wrong("schemaversion", "a number from 1 on")),
            },
        }
    }

    fn tags(&mut self) -> Result<Vec<Tag>, Failure> {
        let Some(text) = self.text("tags")? else { return Ok(Vec::new()) };
        let tags: Vec<String> =
            serde_json::from_str(&text).map_err(|_| wrong("tags", r#"a JSON array in a text, such as "[\"course:c1\"]""#))?;
        Ok(tags.into_iter().map(Tag::new).collect::<Result<_, _>>()?)
    }

    fn payload(&mut self) -> Result<Payload, Failure> {
        let content_type = self.parsed("datacontenttype")?.unwrap_or(ContentType::json());
        let data = self.0.remove("data");
        let base64 = self.text("data_base64")?;
        let data = match (data, base64) {
            (None, None) => Vec::new(),
            (None, Some(base64)) => BASE64_STANDARD.decode(base64).map_err(|_| wrong("data_base64", "Base64 (RFC 4648)"))?,
            (Some(json), None) => data_bytes(&content_type, json),
            (Some(_), Some(_)) => return Err(Failure::failed("there are both `data` and `data_base64`: leave one of them out")),
        };
        Ok(Payload { content_type, data: data.into() })
    }

    /// What is left when all else is read.
    fn metadata(mut self, source: String, id: String) -> Result<Metadata, Failure> {
        for of_the_store_it_was_in in ["position", "streamversion", "recordedtime"] {
            self.0.remove(of_the_store_it_was_in);
        }
        let mut metadata = Metadata {
            actor: self.text("actor")?,
            correlation_id: self.text("correlationid")?,
            causation_id: None,
            traceparent: self.text("traceparent")?,
            occurred_at: self.parsed("time")?,
            headers: self.headers()?,
        };
        if let Some(cause) = self.text("causationid")? {
            metadata.causation_id = Some(event_id(&source, &cause));
            keep_original(&mut metadata, CAUSE_HEADER, cause);
        }
        keep_original(&mut metadata, ID_HEADER, id);
        if source != SOURCE {
            metadata.headers.insert(SOURCE_HEADER.to_owned(), source);
        }
        let rest = std::mem::take(&mut self.0);
        for (name, json) in rest {
            let text = serde_json::from_str(json.get()).unwrap_or_else(|_| json.get().to_owned());
            metadata.headers.insert(name, text);
        }
        Ok(metadata)
    }

    fn headers(&mut self) -> Result<BTreeMap<String, String>, Failure> {
        let Some(text) = self.text("headers")? else { return Ok(BTreeMap::new()) };
        serde_json::from_str(&text).map_err(|_| wrong("headers", r#"a JSON object of texts, in a text: "{\"tenant\":\"eu\"}""#))
    }

    /// The text of a member, if there is one; `null` is none.
    fn text(&mut self, name: &str) -> Result<Option<String>, Failure> {
        let Some(json) = self.0.remove(name) else { return Ok(None) };
        serde_json::from_str(json.get()).map_err(|_| wrong(name, "a text"))
    }

    fn required(&mut self, name: &str) -> Result<String, Failure> {
        match self.text(name)? {
            Some(text) if !text.is_empty() => Ok(text),
            _ => Err(Failure::failed(format!("there is no `{name}`")).hint(format!("write a CloudEvent, such as {EXAMPLE}"))),
        }
    }

    fn parsed<T: std::str::FromStr<Err: std::fmt::Display>>(&mut self, name: &str) -> Result<Option<T>, Failure> {
        let text = self.text(name)?;
        let parsed = text.map(|text| text.parse().map_err(|error| Failure::failed(format!("`{name}`: {error}"))));
        parsed.transpose()
    }
}

fn wrong(name: &str, form: &str) -> Failure {
    Failure::failed(format!("`{name}` is not {form}"))
}

/// The payload of a `data` member: its JSON as it stands, or the text of a type that is not JSON.
fn data_bytes(content_type: &ContentType, json: &RawValue) -> Vec<u8> {
    match serde_json::from_str::<String>(json.get()) {
        Ok(text) if !is_json(content_type) => text.into_bytes(),
        _ => json.get().as_bytes().to_vec(),
    }
}

/// The id of an event: the UUID that it has, or else one that the same `source` and `id` always lead to.
fn event_id(source: &str, id: &str) -> EventId {
    let derived = || Uuid::new_v5(&Uuid::new_v5(&Uuid::NAMESPACE_URL, source.as_bytes()), id.as_bytes());
    Uuid::parse_str(id).unwrap_or_else(|_| derived()).into()
}

/// Keeps an id that a UUID does not spell the same way.
fn keep_original(metadata: &mut Metadata, header: &str, id: String) {
    if Uuid::parse_str(&id).map(|uuid| uuid.to_string()).as_ref() != Ok(&id) {
        metadata.headers.insert(header.to_owned(), id);
    }
}
