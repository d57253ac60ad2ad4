//! An event as a CloudEvent 1.0 in JSON, on one line, and back.

mod read;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use factum::{ContentType, Payload, RecordedEvent, Tag};
use serde::Serialize;
use serde_json::value::RawValue;

pub use read::{CloudEventError, EXAMPLE, read};

/// The media type of one CloudEvent in JSON.
pub const MEDIA_TYPE: &str = "application/cloudevents+json";

/// The `source` of events that name none.
pub const SOURCE: &str = "factum";

/// The header of an event that keeps the `source` it came with.
const SOURCE_HEADER: &str = "ce-source";

/// A recorded event, as it is written: serialize it.
///
/// What was written is [`read`] back as the same event: id, stream, type, schema, tags, metadata and data, byte for byte. What
/// CloudEvents has no attribute for is in extensions: `streamversion`, `position`, `recordedtime`, `schemaversion` (where it is
/// not 1), `causationid`, `correlationid`, `traceparent`, `actor`, `tags` and `headers`. The last two are JSON in a text: an
/// array of tags, an object of texts. `time` is when it happened, or else when it was recorded; so a copy knows when the
/// original was. Data that is no JSON, or not on one line, is in `data_base64`.
///
/// ```
/// # use factum::{NewEvent, Payload, Position, RecordedEvent, Timestamp, Version};
/// # use factum_http::CloudEvent;
/// let mut placed = NewEvent::new("order-42".parse()?, "OrderPlaced", Payload::json(r#"{"total":4200}"#))?;
/// placed.id = "01935f2b-7c4e-7a3d-9b1e-6f2a8c5d4e10".parse()?;
/// let event = RecordedEvent::record(placed, Position::new(81_922), Version::new(3), Timestamp::from_micros(0));
/// assert_eq!(
///     serde_json::to_string(&CloudEvent::new(&event, "https://shop.example.com/"))?,
///     r#"{"specversion":"1.0","id":"01935f2b-7c4e-7a3d-9b1e-6f2a8c5d4e10","source":"https://shop.example.com/","#.to_owned()
///         + r#""type":"OrderPlaced","subject":"order-42","time":"1970-01-01T00:00:00Z","datacontenttype":"application/json","#
///         + r#""streamversion":3,"position":"81922","recordedtime":"1970-01-01T00:00:00Z","data":{"total":4200}}"#,
/// );
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Serialize)]
pub struct CloudEvent<'a> {
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

impl<'a> CloudEvent<'a> {
    /// The event, from the `source` that it came with, or else from this one.
    pub fn new(event: &'a RecordedEvent, source: &'a str) -> Self {
        let metadata = &event.metadata;
        let data = json_on_a_line(&event.payload);
        Self {
            specversion: "1.0",
            id: event.id.to_string(),
            source: metadata.headers.get(SOURCE_HEADER).filter(|source| !source.is_empty()).map_or(source, String::as_str),
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

/// The event, from the `source` that it came with, or else from [`SOURCE`].
impl<'a> From<&'a RecordedEvent> for CloudEvent<'a> {
    fn from(event: &'a RecordedEvent) -> Self {
        Self::new(event, SOURCE)
    }
}

fn json_text(texts: &impl Serialize) -> String {
    serde_json::to_string(texts).expect("texts are JSON")
}

/// The payload, where it can stand in a line and be read back as the same bytes.
pub fn json_on_a_line(payload: &Payload) -> Option<&RawValue> {
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
