//! An event set: what a projection or a process reads, of one aggregate or of several.

use crate::limits::SELECTOR_TERMS_MAX;
use crate::{CodecError, Event, NameError, Query, RecordedEvent, Selector};

/// The events that a reader follows, as one type, so that a `match` on it is exhaustive.
///
/// Every [`Event`] is a set: of its own event types. An enum over several of them is one too, with `#[event(set)]`; and `()` is
/// the set of all events, as they are recorded.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a set of events",
    label = "nothing says which events these are",
    note = "derive it: `#[derive(factum::Event)]`, with `#[event(set)]` where its variants hold events of several types"
)]
pub trait EventSet: Sized + Send + Sync + 'static {
    /// What selects the events of the set, and no others.
    ///
    /// # Errors
    /// [`NameError`] where an event type is no name.
    fn query() -> Result<Query, NameError>;

    /// The event of the set; `None` where it is of none of its types.
    ///
    /// # Errors
    /// [`CodecError`] where it is of one of them but its data cannot be read.
    fn of(event: &RecordedEvent) -> Result<Option<Self>, CodecError>;
}

impl<E: Event> EventSet for E {
    fn query() -> Result<Query, NameError> {
        let types = E::SHAPES.iter().map(|shape| shape.name()).collect::<Result<Vec<_>, _>>()?;
        let some = |types: &[_]| Selector { event_types: types.to_vec(), ..Selector::default() };
        Ok(Query { selectors: types.chunks(SELECTOR_TERMS_MAX).map(some).collect() })
    }

    fn of(event: &RecordedEvent) -> Result<Option<Self>, CodecError> {
        event.decode()
    }
}

/// Every event, as it is recorded, but those of the system's own streams.
impl EventSet for () {
    fn query() -> Result<Query, NameError> {
        Ok(Query::all())
    }

    fn of(event: &RecordedEvent) -> Result<Option<Self>, CodecError> {
        Ok((!event.stream.is_system()).then_some(()))
    }
}

/// An event of a set, with all that is recorded of it: its position, stream, time and metadata.
///
/// ```
/// # use factum::{Event, TypedEvent};
/// # #[derive(Event)]
/// # enum AccountEvent { Deposited { cents: u64 }, Closed }
/// fn line(event: &TypedEvent<AccountEvent>) -> String {
///     match &event.data {
///         AccountEvent::Deposited { cents } => format!("{} {}: +{cents}", event.recorded_at, event.stream),
///         AccountEvent::Closed => format!("{} {}: closed", event.recorded_at, event.stream),
///     }
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TypedEvent<E> {
    /// What happened.
    pub data: E,
    /// The event as it is recorded.
    pub recorded: RecordedEvent,
}

impl<E: EventSet> TypedEvent<E> {
    /// The event, read; `None` where it is not of the set.
    ///
    /// # Errors
    /// [`CodecError`] where it is of the set but its data cannot be read.
    pub fn of(recorded: RecordedEvent) -> Result<Option<Self>, CodecError> {
        Ok(E::of(&recorded)?.map(|data| Self { data, recorded }))
    }
}

impl<E> std::ops::Deref for TypedEvent<E> {
    type Target = RecordedEvent;

    fn deref(&self) -> &RecordedEvent {
        &self.recorded
    }
}
