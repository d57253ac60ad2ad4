//! Metadata: who, why and from where.

use std::collections::BTreeMap;

use crate::{EventId, RecordedEvent, Timestamp};

/// What is known of an event beyond what happened.
///
/// ```
/// # use factum::Metadata;
/// let metadata = Metadata::default().actor("ann").correlation_id("order-7").header("tenant", "eu");
/// assert_eq!(metadata.actor.as_deref(), Some("ann"));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Metadata {
    /// Who did it.
    pub actor: Option<String>,
    /// The whole conversation that the event is part of.
    pub correlation_id: Option<String>,
    /// The event that directly caused this one.
    pub causation_id: Option<EventId>,
    /// The trace that it was recorded in: W3C Trace Context, `traceparent`.
    pub traceparent: Option<String>,
    /// When it happened, as its source tells; the store's own time is [`RecordedEvent::recorded_at`].
    pub occurred_at: Option<Timestamp>,
    /// Anything else, by name.
    pub headers: BTreeMap<String, String>,
}

impl Metadata {
    /// Metadata of what `cause` leads to: it is the cause, and its conversation goes on.
    ///
    /// A cause that is in no conversation begins one, named by its id.
    pub fn caused_by(cause: &RecordedEvent) -> Self {
        Self {
            correlation_id: Some(cause.metadata.correlation_id.clone().unwrap_or_else(|| cause.id.to_string())),
            causation_id: Some(cause.id),
            traceparent: cause.metadata.traceparent.clone(),
            ..Self::default()
        }
    }

    /// Sets who did it.
    #[must_use]
    pub fn actor(mut self, actor: impl Into<String>) -> Self {
        self.actor = Some(actor.into());
        self
    }

    /// Sets the conversation.
    #[must_use]
    pub fn correlation_id(mut self, id: impl Into<String>) -> Self {
        self.correlation_id = Some(id.into());
        self
    }

    /// Sets the direct cause.
    #[must_use]
    pub fn causation_id(mut self, id: EventId) -> Self {
        self.causation_id = Some(id);
        self
    }

    /// Sets the trace: the value of a W3C `traceparent` header.
    #[must_use]
    pub fn traceparent(mut self, traceparent: impl Into<String>) -> Self {
        self.traceparent = Some(traceparent.into());
        self
    }

    /// Sets when it happened.
    #[must_use]
    pub fn occurred_at(mut self, time: Timestamp) -> Self {
        self.occurred_at = Some(time);
        self
    }

    /// Sets a header.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.insert(name.into(), value.into());
        self
    }

    /// This metadata, with what it lacks from another.
    #[must_use]
    pub fn or(mut self, other: &Self) -> Self {
        self.actor = self.actor.or_else(|| other.actor.clone());
        self.correlation_id = self.correlation_id.or_else(|| other.correlation_id.clone());
        self.causation_id = self.causation_id.or(other.causation_id);
        self.traceparent = self.traceparent.or_else(|| other.traceparent.clone());
        self.occurred_at = self.occurred_at.or(other.occurred_at);
        for (name, value) in &other.headers {
            self.headers.entry(name.clone()).or_insert_with(|| value.clone());
        }
        self
    }

    /// The bytes of its texts, which [`limits::METADATA_BYTES_MAX`](crate::limits::METADATA_BYTES_MAX) bounds.
    pub fn text_bytes(&self) -> usize {
        let texts = [&self.actor, &self.correlation_id, &self.traceparent];
        let headers = self.headers.iter().map(|(name, value)| name.len() + value.len());
        texts.into_iter().flatten().map(String::len).chain(headers).sum()
    }
}
