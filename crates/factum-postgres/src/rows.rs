//! Rows: an event as the table has it.

use std::collections::BTreeMap;

use factum::{
    ContentType, EventId, EventType, Metadata, NewEvent, Payload, Position, RecordedEvent, StoreError, StoreErrorKind,
    StreamName, Tag, Timestamp, Version,
};
use serde::{Deserialize, Serialize};
use sqlx::Row;
use sqlx::postgres::PgRow;
use uuid::Uuid;

/// The columns of an event, in the order in which [`event`] reads them.
pub(crate) const COLUMNS: &str = "e.position, e.version, e.recorded_at, e.id, e.stream, e.type, e.schema, e.tags, e.metadata, \
                                  e.content_type, e.json::text AS json, e.data";

/// Metadata as it is stored: what is missing is not there.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
struct StoredMetadata {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    actor: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    correlation_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    causation_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    traceparent: Option<String>,
    /// In microseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    occurred_at: Option<i64>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    headers: BTreeMap<String, String>,
}

/// The JSON of an event's metadata; `None` where it has none.
pub(crate) fn metadata_json(metadata: &Metadata) -> Option<String> {
    let stored = StoredMetadata {
        actor: metadata.actor.clone(),
        correlation_id: metadata.correlation_id.clone(),
        causation_id: metadata.causation_id.map(|id| id.to_string()),
        traceparent: metadata.traceparent.clone(),
        occurred_at: metadata.occurred_at.map(Timestamp::as_micros),
        headers: metadata.headers.clone(),
    };
    (stored != StoredMetadata::default()).then(|| serde_json::to_string(&stored).expect("texts and numbers are JSON"))
}

/// The key that a correlation id is found by: the UUIDv5 (RFC 9562) of the text, since that may be longer than an index takes.
pub(crate) fn correlation_key(correlation_id: &str) -> Uuid {
    Uuid::new_v5(&Uuid::NAMESPACE_OID, correlation_id.as_bytes())
}

/// The data of an event, as the text of a JSON value, where it is one for PostgreSQL too.
pub(crate) fn json(event: &NewEvent) -> Option<&str> {
    let text = event.payload.content_type.is_json().then(|| std::str::from_utf8(&event.payload.data).ok()).flatten()?;
    serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok().then_some(text)
}

/// The event of a row with [`COLUMNS`], from this column on.
pub(crate) fn event(row: &PgRow, first: usize) -> Result<RecordedEvent, StoreError> {
    decoded(row, first).map_err(|error| StoreError::new(StoreErrorKind::Corrupt, format!("a row is no event: {error}")))
}

fn decoded(row: &PgRow, first: usize) -> Result<RecordedEvent, Box<dyn std::error::Error + Send + Sync>> {
    let text = |column: usize| row.try_get::<Option<String>, _>(first + column);
    let tags = text(7)?.map_or(Ok(Vec::new()), |tags| tags.split('\n').map(Tag::try_from).collect())?;
    let data = match text(10)? {
        Some(json) => json.into_bytes(),
        None => row.try_get::<Option<Vec<u8>>, _>(first + 11)?.unwrap_or_default(),
    };
    Ok(RecordedEvent {
        position: Position::new(number(row, first)?),
        version: Version::new(number(row, first + 1)?),
        recorded_at: Timestamp::from_micros(row.try_get(first + 2)?),
        id: EventId::from(row.try_get::<Uuid, _>(first + 3)?),
        stream: StreamName::new(row.try_get::<String, _>(first + 4)?)?,
        event_type: EventType::new(row.try_get::<String, _>(first + 5)?)?,
        schema: u32::try_from(row.try_get::<i64, _>(first + 6)?)?,
        tags,
        metadata: text(8)?.map_or(Ok(Metadata::default()), |metadata| read_metadata(&metadata))?,
        payload: Payload { content_type: text(9)?.map_or(Ok(ContentType::json()), ContentType::new)?, data: data.into() },
    })
}

fn number(row: &PgRow, column: usize) -> Result<u64, Box<dyn std::error::Error + Send + Sync>> {
    Ok(u64::try_from(row.try_get::<i64, _>(column)?)?)
}

fn read_metadata(json: &str) -> Result<Metadata, Box<dyn std::error::Error + Send + Sync>> {
    let stored: StoredMetadata = serde_json::from_str(json)?;
    Ok(Metadata {
        actor: stored.actor,
        correlation_id: stored.correlation_id,
        causation_id: stored.causation_id.map(|id| id.parse()).transpose()?,
        traceparent: stored.traceparent,
        occurred_at: stored.occurred_at.map(Timestamp::from_micros),
        headers: stored.headers,
    })
}

/// A number as PostgreSQL has it: beyond its largest one there is nothing to tell apart.
pub(crate) fn bigint(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
