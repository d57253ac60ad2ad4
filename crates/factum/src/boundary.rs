//! A boundary: what past events selected by a query add up to (DCB).

use std::slice::Iter;

use crate::aggregate::{self, Aggregate};
use crate::decide::ATTEMPTS_MAX;
use crate::limits::SELECTOR_TERMS_MAX;
use crate::{
    Append, AppendError, Appended, AsOf, CodecError, DecideError, Draft, Event, LoadError, Log, Moment, NameError, NewEvent,
    Position, Query, Range, Read, RecordedEvent, Scope, Selector, Store, Versions,
};

/// One question that a decision asks of the past: the events that answer it, and what they add up to.
///
/// A value of it, as it is made, is the answer before the first event. What is read, what is applied and what the append is
/// guarded by is one query: the types of [`Self::Event`], in [`Self::scope`].
///
/// ```
/// # use factum::{Event, Model, NameError, Selector};
/// # #[derive(Event)]
/// # struct Enrolled { course: String, student: String }
/// #[derive(Debug)]
/// struct InCourse { course: String, students: u32 }
///
/// impl Model for InCourse {
///     type Event = Enrolled;
///
///     fn scope(&self) -> Result<Selector, NameError> {
///         Selector::tagged("course", &self.course)
///     }
///
///     fn apply(&mut self, _event: &Enrolled) {
///         self.students += 1;
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a model",
    label = "nothing says which past events this type adds up",
    note = "implement `factum::Model` for it: its events, their scope, and how it applies each",
    note = "a boundary is a model, an aggregate by `Repository::model`, a tuple of up to 8 of them, or a `Vec`"
)]
pub trait Model {
    /// The events that answer the question. The fewer types it has, the fewer writers are in each other's way.
    type Event: Event;

    /// Where the events are: their tags, or their stream. Event types are those of [`Self::Event`], unless it names some itself.
    ///
    /// # Errors
    /// [`NameError`] where a field's value makes no tag.
    fn scope(&self) -> Result<Selector, NameError>;

    /// Takes in an event. It cannot refuse: the event has already happened.
    fn apply(&mut self, event: &Self::Event);
}

/// What a decision is made on: a [`Model`], an [`AggregateModel`], or a tuple of up to 8 boundaries or a `Vec` of them.
///
/// Its query selects what any of its models select. Implement [`Model`], not this.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a boundary",
    label = "this type, or a part of it, is not a model",
    note = "implement `factum::Model` for each part: its events, their scope, and how it applies each",
    note = "a boundary is a model, an aggregate by `Repository::model`, a tuple of up to 8 of them, or a `Vec`"
)]
pub trait Boundary {
    /// Adds one selector for each of its models, in their order.
    ///
    /// # Errors
    /// [`NameError`] where a model's scope has none.
    fn select(&self, selectors: &mut Vec<Selector>) -> Result<(), NameError>;

    /// Takes one selector for each of its models, in their order, and applies the event to those whose selector selects it.
    ///
    /// # Errors
    /// [`CodecError`] where the event cannot be read.
    fn apply(&mut self, selectors: &mut Iter<'_, Selector>, event: &RecordedEvent) -> Result<(), CodecError>;
}

impl<M: Model> Boundary for M {
    fn select(&self, selectors: &mut Vec<Selector>) -> Result<(), NameError> {
        let mut selector = self.scope()?;
        if selector.event_types.is_empty() {
            selector.event_types = M::Event::SHAPES.iter().map(|shape| shape.name()).collect::<Result<_, _>>()?;
        }
        selectors.push(selector);
        Ok(())
    }

    fn apply(&mut self, selectors: &mut Iter<'_, Selector>, event: &RecordedEvent) -> Result<(), CodecError> {
        if selects(selectors, event)
            && let Some(event) = event.decode::<M::Event>()?
        {
            Model::apply(self, &event);
        }
        Ok(())
    }
}

fn selects(selectors: &mut Iter<'_, Selector>, event: &RecordedEvent) -> bool {
    selectors.next().is_some_and(|selector| selector.selects(event))
}

/// An aggregate as a part of a boundary: all events of its stream, unknown ones included. See [`Repository::model`].
///
/// [`Repository::model`]: crate::Repository::model
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AggregateModel<A: Aggregate> {
    /// Which one it is.
    pub id: A::Id,
    /// What its events add up to.
    pub state: A,
}

impl<A: Aggregate> AggregateModel<A> {
    /// The aggregate before its first event.
    pub fn new(id: A::Id) -> Self {
        Self { id, state: A::default() }
    }

    /// An event of this aggregate, to record with the others of a decision.
    pub fn draft(&self, event: &A::Event) -> Draft {
        Draft::of::<A>(&self.id, event)
    }
}

impl<A: Aggregate> Boundary for AggregateModel<A> {
    fn select(&self, selectors: &mut Vec<Selector>) -> Result<(), NameError> {
        let stream = aggregate::stream::<A>(&self.id)?;
        selectors.push(Scope::Stream(stream, Versions::ALL).into());
        Ok(())
    }

    fn apply(&mut self, selectors: &mut Iter<'_, Selector>, event: &RecordedEvent) -> Result<(), CodecError> {
        if selects(selectors, event) { aggregate::apply(&mut self.state, event) } else { Ok(()) }
    }
}

impl<B: Boundary> Boundary for Vec<B> {
    fn select(&self, selectors: &mut Vec<Selector>) -> Result<(), NameError> {
        self.iter().try_for_each(|boundary| boundary.select(selectors))
    }

    fn apply(&mut self, selectors: &mut Iter<'_, Selector>, event: &RecordedEvent) -> Result<(), CodecError> {
        self.iter_mut().try_for_each(|boundary| boundary.apply(selectors, event))
    }
}

/// Nothing of the past matters to the decision, and nothing is in its way.
impl Boundary for () {
    fn select(&self, _selectors: &mut Vec<Selector>) -> Result<(), NameError> {
        Ok(())
    }

    fn apply(&mut self, _selectors: &mut Iter<'_, Selector>, _event: &RecordedEvent) -> Result<(), CodecError> {
        Ok(())
    }
}

macro_rules! boundary_of {
    ($($part:ident . $at:tt),+) => {
        impl<$($part: Boundary),+> Boundary for ($($part,)+) {
            fn select(&self, selectors: &mut Vec<Selector>) -> Result<(), NameError> {
                $(self.$at.select(selectors)?;)+
                Ok(())
            }

            fn apply(&mut self, selectors: &mut Iter<'_, Selector>, event: &RecordedEvent) -> Result<(), CodecError> {
                $(self.$at.apply(selectors, event)?;)+
                Ok(())
            }
        }
    };
}

boundary_of!(A.0);
boundary_of!(A.0, B.1);
boundary_of!(A.0, B.1, C.2);
boundary_of!(A.0, B.1, C.2, D.3);
boundary_of!(A.0, B.1, C.2, D.3, E.4);
boundary_of!(A.0, B.1, C.2, D.3, E.4, F.5);
boundary_of!(A.0, B.1, C.2, D.3, E.4, F.5, G.6);
boundary_of!(A.0, B.1, C.2, D.3, E.4, F.5, G.6, H.7);

/// The models of a boundary, with what they have read.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct LoadedModels<B> {
    /// What the events add up to.
    pub models: B,
    /// The position that it is so at: every event up to here that the models select is in them, and none after it.
    pub position: Position,
}

impl Log {
    /// Loads the models, decides, and records what was decided unless an event that any of them selects has been recorded since;
    /// where one has, all of it again, up to [`ATTEMPTS_MAX`] times. The decision is pure: see [`Decide`](crate::Decide).
    ///
    /// The decision's events are anything that becomes [`Draft`]s. The outcome is `None` where it has none.
    ///
    /// # Errors
    /// [`DecideError::Rejected`] with the decision's own error; or why the decision could not be made, or not be recorded.
    pub async fn decide<B: Boundary, D, E>(
        &self,
        models: B,
        mut decide: impl FnMut(&B) -> Result<D, E>,
    ) -> Result<Option<Appended>, DecideError<E>>
    where
        D: IntoIterator<Item: Into<Draft>>,
    {
        let mut folding = Folding::of(models).map_err(LoadError::Name)?;
        let mut attempts = 1;
        loop {
            if let Some(recorded) = self.recorded_once().await? {
                return Ok(Some(Appended::of(&recorded)));
            }
            folding.read_on(self, NOW).await?;
            let drafts = decide(&folding.models).map_err(DecideError::Rejected)?.into_iter();
            let events = drafts.map(|draft| draft.into().into_new_event()).collect::<Result<Vec<NewEvent>, _>>()?;
            if events.is_empty() {
                return Ok(None);
            }
            let append = Append::new(events).condition(folding.query.clone(), folding.position);
            match self.append(append).await {
                Ok(appended) => return Ok(Some(appended)),
                Err(AppendError::Conflict(_) | AppendError::IdTaken { .. }) if attempts < ATTEMPTS_MAX => attempts += 1,
                Err(error) => return Err(DecideError::of_append(error, attempts)),
            }
        }
    }

    /// The models with all that they select.
    ///
    /// # Errors
    /// [`LoadError`] where a scope makes no query, an event cannot be read, or the store fails.
    pub async fn load<B: Boundary>(&self, models: B) -> Result<LoadedModels<B>, LoadError> {
        self.load_as_of(models, NOW).await
    }

    /// The models with what they select of the past.
    ///
    /// # Errors
    /// As [`Log::load`].
    pub async fn load_as_of<B: Boundary>(&self, models: B, moment: Moment) -> Result<LoadedModels<B>, LoadError> {
        let mut folding = Folding::of(models)?;
        folding.read_on(self, moment).await?;
        Ok(LoadedModels { models: folding.models, position: folding.position })
    }
}

const NOW: Moment = Moment::Position(Position::MAX);

/// Models while events are applied to them.
pub(crate) struct Folding<B> {
    pub(crate) models: B,
    pub(crate) query: Query,
    selectors: Vec<Selector>,
    position: Position,
}

impl<B: Boundary> Folding<B> {
    pub(crate) fn of(models: B) -> Result<Self, NameError> {
        let mut selectors = Vec::new();
        models.select(&mut selectors)?;
        let query = Query { selectors: selectors.iter().flat_map(within_limit).collect() };
        Ok(Self { models, query, selectors, position: Position::START })
    }

    pub(crate) fn apply(&mut self, event: &RecordedEvent) -> Result<(), CodecError> {
        self.models.apply(&mut self.selectors.iter(), event)
    }

    /// Applies what happened since, up to the moment or to the head at the first page.
    async fn read_on(&mut self, log: &Log, moment: Moment) -> Result<(), LoadError> {
        let moment = AsOf::from(moment);
        let mut range = Range { after: self.position, ..moment.range() };
        loop {
            let page = log.store().read(Read::new(self.query.clone()).range(range)).await?;
            // The head moves while pages are read. Every later one is beyond the first, so this stays what it was at the first:
            // the models are what was so at one position, and what came after it is for the condition to find.
            range.through = range.through.min(page.head);
            for event in &page.events {
                if !moment.includes(event) {
                    return Ok(());
                }
                self.apply(event)?;
                self.position = event.position;
            }
            match page.rest {
                Some(rest) if rest.after < range.through => range.after = rest.after,
                _ => break,
            }
        }
        self.position = self.position.max(range.through);
        Ok(())
    }
}

/// The selector, as several where it has more event types than one may have.
fn within_limit(selector: &Selector) -> Vec<Selector> {
    if selector.event_types.len() <= SELECTOR_TERMS_MAX {
        return vec![selector.clone()];
    }
    let some = |event_types: &[_]| Selector { event_types: event_types.to_vec(), ..selector.clone() };
    selector.event_types.chunks(SELECTOR_TERMS_MAX).map(some).collect()
}
