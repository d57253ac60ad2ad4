//! A query: which events a read returns, or a condition forbids.

use crate::limits::{self, LimitError};
use crate::{Category, EventId, EventType, NameError, RecordedEvent, StreamName, Tag, Versions};

/// Event types × tags × streams: an event is selected if *any* of the selectors selects it.
///
/// ```
/// # use factum::{Query, Selector};
/// let of_course = Selector::default().tag("course:c1".parse()?);
/// let query = Query::from(of_course.event_type("StudentEnrolled".parse()?)).or(Selector::category("audit".parse()?));
/// assert_eq!(query.selectors.len(), 2);
/// # Ok::<(), factum::NameError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Query {
    /// Any of these selects an event; none selects none.
    pub selectors: Vec<Selector>,
}

impl Query {
    /// Every event.
    pub fn all() -> Self {
        Selector::default().into()
    }

    /// No event.
    pub fn none() -> Self {
        Self::default()
    }

    /// The events of a stream.
    pub fn stream(stream: StreamName) -> Self {
        Selector::stream(stream).into()
    }

    /// What this query selects, and what the selector does.
    #[must_use]
    pub fn or(mut self, selector: Selector) -> Self {
        self.selectors.push(selector);
        self
    }

    /// Whether the query selects the event.
    pub fn selects(&self, event: &RecordedEvent) -> bool {
        self.selectors.iter().any(|selector| selector.selects(event))
    }

    /// Refuses a query that is too large.
    ///
    /// # Errors
    /// [`LimitError`] names the limit.
    pub fn check(&self) -> Result<(), LimitError> {
        limits::check("selectors in a query", self.selectors.len(), limits::SELECTORS_MAX)?;
        self.selectors.iter().try_for_each(|selector| {
            limits::check("event types in a selector", selector.event_types.len(), limits::SELECTOR_TERMS_MAX)?;
            limits::check("tags in a selector", selector.tags.len(), limits::SELECTOR_TERMS_MAX)
        })
    }
}

impl From<Selector> for Query {
    fn from(selector: Selector) -> Self {
        Self { selectors: vec![selector] }
    }
}

/// An event is selected if it is of *any* of the types, has *all* of the tags and is in the scope.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Selector {
    /// Any of these; every type where there is none.
    pub event_types: Vec<EventType>,
    /// All of these.
    pub tags: Vec<Tag>,
    /// Where the event is.
    pub scope: Scope,
}

impl Selector {
    /// The events of a stream.
    pub fn stream(stream: StreamName) -> Self {
        Scope::Stream(stream, Versions::ALL).into()
    }

    /// The events of a category.
    pub fn category(category: Category) -> Self {
        Scope::Category(category).into()
    }

    /// The events with a tag.
    ///
    /// # Errors
    /// [`NameError`] where the key and the value make no tag.
    pub fn tagged(key: &str, value: impl std::fmt::Display) -> Result<Self, NameError> {
        Ok(Self::default().tag(Tag::of(key, value)?))
    }

    /// One more event type that may be selected.
    #[must_use]
    pub fn event_type(mut self, event_type: EventType) -> Self {
        self.event_types.push(event_type);
        self
    }

    /// One more tag that an event must have.
    #[must_use]
    pub fn tag(mut self, tag: Tag) -> Self {
        self.tags.push(tag);
        self
    }

    /// Whether the selector selects the event.
    pub fn selects(&self, event: &RecordedEvent) -> bool {
        (self.event_types.is_empty() || self.event_types.contains(&event.event_type))
            && self.tags.iter().all(|tag| event.tags.contains(tag))
            && self.scope.contains(event)
    }
}

impl From<Scope> for Selector {
    fn from(scope: Scope) -> Self {
        Self { scope, ..Self::default() }
    }
}

/// The part of a store that a selector looks at.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Scope {
    /// All of it.
    #[default]
    Everything,
    /// A stream, or some versions of it.
    Stream(StreamName, Versions),
    /// The streams of a category.
    Category(Category),
    /// One conversation: the events with this correlation id.
    Correlation(String),
    /// The direct effects of an event: those with this causation id.
    CausedBy(EventId),
    /// The one event with this id.
    Event(EventId),
}

impl Scope {
    /// Whether the event is in the scope.
    pub fn contains(&self, event: &RecordedEvent) -> bool {
        match self {
            Self::Everything => true,
            Self::Stream(stream, versions) => event.stream == *stream && versions.contains(event.version),
            Self::Category(category) => event.stream.category() == *category,
            Self::Correlation(id) => event.metadata.correlation_id.as_ref() == Some(id),
            Self::CausedBy(id) => event.metadata.causation_id == Some(*id),
            Self::Event(id) => event.id == *id,
        }
    }
}
