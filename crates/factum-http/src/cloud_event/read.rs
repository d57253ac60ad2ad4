//! A CloudEvent, read: an event to record.

use std::collections::BTreeMap;
use std::error::Error;
use std::str::FromStr;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use factum::{ContentType, EventId, EventType, Metadata, NameError, NewEvent, Payload, StreamName, Tag};
use serde_json::value::RawValue;
use uuid::Uuid;

use super::{SOURCE, SOURCE_HEADER, is_json};

const ID_HEADER: &str = "ce-id";
const CAUSE_HEADER: &str = "ce-causationid";

/// Why a text is no CloudEvent that can be recorded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CloudEventError {
    /// It is not JSON, or no object.
    #[error("not a JSON object: {0}")]
    NotAnObject(serde_json::Error),
    /// It is of another version of CloudEvents.
    #[error("`specversion` is not \"1.0\", the only version of CloudEvents that is read")]
    SpecVersion,
    /// It lacks an attribute.
    #[error("there is no `{0}`")]
    Missing(&'static str),
    /// Nothing says which stream it goes to.
    #[error("there is no `subject` that names the stream")]
    NoStream,
    /// It names another stream than the one that it is to go to.
    #[error("`subject` is {subject}, and not {stream}, where it is to go: leave it out, or make them the same")]
    OtherStream {
        /// The stream that it names.
        subject: StreamName,
        /// The stream that it is to go to.
        stream: StreamName,
    },
    /// An attribute has another form.
    #[error("`{name}` is not {form}")]
    Wrong {
        /// The attribute.
        name: &'static str,
        /// What it should be.
        form: &'static str,
    },
    /// An attribute has the right form, and a value that cannot be recorded.
    #[error("`{name}`: {error}")]
    Unusable {
        /// The attribute.
        name: &'static str,
        /// What is wrong with it.
        error: Box<dyn Error + Send + Sync>,
    },
    /// Its type, or one of its tags, is no name.
    #[error(transparent)]
    Name(#[from] NameError),
    /// It has data twice.
    #[error("there are both `data` and `data_base64`: leave one of them out")]
    DataTwice,
}

/// Reads an event. It goes to its `subject`, and where it has none, to `stream`; one that names another stream is refused.
///
/// Events of others lose nothing: an `id` that is no UUID becomes one that is derived from `source` and `id`, and what has no
/// place of its own goes to a header: the original id as `ce-id`, `source` as `ce-source`, extensions by their names.
///
/// ```
/// let event = factum_http::cloud_event::read(factum_http::cloud_event::EXAMPLE, None)?;
/// assert_eq!((event.stream.as_str(), event.event_type.as_str()), ("order-42", "OrderPlaced"));
/// # Ok::<(), factum_http::cloud_event::CloudEventError>(())
/// ```
///
/// # Errors
/// [`CloudEventError`] says what is wrong with it.
pub fn read(json: &str, stream: Option<&StreamName>) -> Result<NewEvent, CloudEventError> {
    Attributes(serde_json::from_str(json).map_err(CloudEventError::NotAnObject)?).event(stream)
}

/// What a CloudEvent looks like, for messages.
pub const EXAMPLE: &str = r#"{"specversion":"1.0","id":"1","source":"shop","type":"OrderPlaced","subject":"order-42","data":{}}"#;

/// The members that are still to be read.
struct Attributes<'a>(BTreeMap<String, &'a RawValue>);

impl Attributes<'_> {
    fn event(mut self, stream: Option<&StreamName>) -> Result<NewEvent, CloudEventError> {
        if self.required("specversion")? != "1.0" {
            return Err(CloudEventError::SpecVersion);
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

    fn stream(&mut self, stream: Option<&StreamName>) -> Result<StreamName, CloudEventError> {
        match (self.parsed::<StreamName>("subject")?, stream) {
            (Some(subject), Some(stream)) if subject != *stream => {
                Err(CloudEventError::OtherStream { subject, stream: stream.clone() })
            }
            (Some(stream), _) => Ok(stream),
            (None, Some(stream)) => Ok(stream.clone()),
            (None, None) => Err(CloudEventError::NoStream),
        }
    }

    fn schema(&mut self) -> Result<u32, CloudEventError> {
        match self.0.remove("schemaversion") {
            None => Ok(1),
            Some(json) => match json.get().trim_matches('"').parse() {
                Ok(schema) if 0 < schema => Ok(schema),
                _ => Err(wrong("schemaversion", "a number from 1 on")),
            },
        }
    }

    fn tags(&mut self) -> Result<Vec<Tag>, CloudEventError> {
        let Some(text) = self.text("tags")? else { return Ok(Vec::new()) };
        let tags: Vec<String> =
            serde_json::from_str(&text).map_err(|_| wrong("tags", r#"a JSON array in a text, such as "[\"course:c1\"]""#))?;
        Ok(tags.into_iter().map(Tag::new).collect::<Result<_, _>>()?)
    }

    fn payload(&mut self) -> Result<Payload, CloudEventError> {
        let content_type = self.parsed("datacontenttype")?.unwrap_or(ContentType::json());
        let data = self.0.remove("data");
        let base64 = self.text("data_base64")?;
        let data = match (data, base64) {
            (None, None) => Vec::new(),
            (None, Some(base64)) => BASE64_STANDARD.decode(base64).map_err(|_| wrong("data_base64", "Base64 (RFC 4648)"))?,
            (Some(json), None) => data_bytes(&content_type, json),
            (Some(_), Some(_)) => return Err(CloudEventError::DataTwice),
        };
        Ok(Payload { content_type, data: data.into() })
    }

    /// What is left when all else is read.
    fn metadata(mut self, source: String, id: String) -> Result<Metadata, CloudEventError> {
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

    fn headers(&mut self) -> Result<BTreeMap<String, String>, CloudEventError> {
        let Some(text) = self.text("headers")? else { return Ok(BTreeMap::new()) };
        serde_json::from_str(&text).map_err(|_| wrong("headers", r#"a JSON object of texts, in a text: "{\"tenant\":\"eu\"}""#))
    }

    /// The text of a member, if there is one; `null` is none.
    fn text(&mut self, name: &'static str) -> Result<Option<String>, CloudEventError> {
        let Some(json) = self.0.remove(name) else { return Ok(None) };
        serde_json::from_str(json.get()).map_err(|_| wrong(name, "a text"))
    }

    fn required(&mut self, name: &'static str) -> Result<String, CloudEventError> {
        self.text(name)?.filter(|text| !text.is_empty()).ok_or(CloudEventError::Missing(name))
    }

    fn parsed<T>(&mut self, name: &'static str) -> Result<Option<T>, CloudEventError>
    where
        T: FromStr<Err: Error + Send + Sync + 'static>,
    {
        let parsed = self.text(name)?.map(|text| text.parse());
        parsed.transpose().map_err(|error| CloudEventError::Unusable { name, error: Box::new(error) })
    }
}

fn wrong(name: &'static str, form: &'static str) -> CloudEventError {
    CloudEventError::Wrong { name, form }
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
