//! Given-when-then: a decision, checked without a store or a runtime.

use std::fmt::Debug;

use super::facts::{self, Fact};
use crate::boundary::Folding;
use crate::{Aggregate, Boundary, Decide, Draft, Event, RecordedEvent};

/// An aggregate that these events have happened to.
///
/// Each of them is written and read back: an event that is another one then fails the test, since so it would in a store.
///
/// # Panics
/// Where an event cannot be stored as it is.
#[track_caller]
pub fn given<A>(id: impl Into<A::Id>, events: impl IntoIterator<Item = A::Event>) -> Given<A>
where
    A: Aggregate<Event: PartialEq + Debug>,
{
    let id = id.into();
    let mut state = A::default();
    for event in events {
        facts::check_round_trip::<A>(&id, &event);
        state.apply(&event);
    }
    Given { id, state }
}

/// An aggregate, before a command: see [`given`].
#[derive(Debug)]
#[must_use = "go on with `when`"]
pub struct Given<A: Aggregate> {
    id: A::Id,
    state: A,
}

impl<A: Aggregate<Event: PartialEq + Debug>> Given<A> {
    /// Decides a command.
    ///
    /// # Panics
    /// Where an event that is decided cannot be stored as it is.
    #[track_caller]
    pub fn when<C>(self, command: C) -> Then<A::Event, A::Rejection>
    where
        A: Decide<C>,
    {
        self.when_deciding(|aggregate| aggregate.decide(command))
    }

    /// Decides as the closure does.
    ///
    /// # Panics
    /// Where an event that is decided cannot be stored as it is.
    #[track_caller]
    pub fn when_deciding<E>(self, decide: impl FnOnce(&A) -> Result<Vec<A::Event>, E>) -> Then<A::Event, E> {
        let outcome = decide(&self.state);
        for event in outcome.iter().flatten() {
            facts::check_round_trip::<A>(&self.id, event);
        }
        Then { outcome, hint: String::new() }
    }
}

/// A store in which these events have happened, in this order.
///
/// Each of them is read back and written again: an event that is another one then fails the test.
///
/// # Panics
/// Where an event cannot be stored as it is.
#[track_caller]
pub fn given_events(events: impl IntoIterator<Item: Into<Draft>>) -> GivenEvents {
    GivenEvents { events: facts::record(events.into_iter().map(Into::into)) }
}

/// Events, before a decision that is made on some of them: see [`given_events`].
#[derive(Debug)]
#[must_use = "go on with `when`"]
pub struct GivenEvents {
    events: Vec<RecordedEvent>,
}

impl GivenEvents {
    /// Decides on what the models select. A test that fails lists what they did not select.
    ///
    /// # Panics
    /// Where a model has no query, or an event that is decided cannot be stored as it is.
    #[track_caller]
    pub fn when<B: Boundary, D, E>(self, models: B, decide: impl FnOnce(&B) -> Result<D, E>) -> Then<Fact, E>
    where
        D: IntoIterator<Item: Into<Draft>>,
    {
        let mut folding = match Folding::of(models) {
            Ok(folding) => folding,
            Err(error) => panic!("the boundary has no query: {error}"),
        };
        let (selected, unselected): (Vec<_>, Vec<_>) = self.events.iter().partition(|event| folding.query.selects(event));
        for event in selected {
            if let Err(error) = folding.apply(event) {
                panic!("the boundary cannot apply {:?}: {error}", Fact::from(event));
            }
        }
        let decided = decide(&folding.models);
        let outcome = decided.map(|drafts| facts::record(drafts.into_iter().map(Into::into)).iter().map(Fact::from).collect());
        Then { outcome, hint: hint(&unselected) }
    }
}

fn hint(unselected: &[&RecordedEvent]) -> String {
    let lines = unselected.iter().map(|event| format!("\n  {:?}", Fact::from(*event)));
    if unselected.is_empty() { String::new() } else { format!("\nnot selected by the boundary:{}", lines.collect::<String>()) }
}

/// What a decision led to, to be compared with what it should.
#[derive(Debug)]
#[must_use = "say what is to be expected: `then`, `then_rejected` or `then_nothing`"]
pub struct Then<Ev, E> {
    outcome: Result<Vec<Ev>, E>,
    hint: String,
}

impl<Ev: Event + PartialEq + Debug, E: Debug> Then<Ev, E> {
    /// The decision leads to these events, in this order.
    ///
    /// # Panics
    /// Where it does not.
    #[track_caller]
    pub fn then(self, events: impl IntoIterator<Item = Ev>) {
        self.compare(&events.into_iter().collect::<Vec<_>>());
    }
}

impl<E: Debug> Then<Fact, E> {
    /// The decision leads to these events, in this order and in these streams. Metadata is not compared.
    ///
    /// # Panics
    /// Where it does not.
    #[track_caller]
    pub fn then(self, events: impl IntoIterator<Item: Into<Draft>>) {
        let expected = facts::record(events.into_iter().map(Into::into));
        self.compare(&expected.iter().map(Fact::from).collect::<Vec<_>>());
    }
}

impl<Ev: PartialEq + Debug, E: Debug> Then<Ev, E> {
    /// The decision is that there is nothing to do.
    ///
    /// # Panics
    /// Where it is not.
    #[track_caller]
    pub fn then_nothing(self) {
        self.compare(&[]);
    }

    /// The decision is refused, for this reason.
    ///
    /// # Panics
    /// Where it is not.
    #[track_caller]
    #[expect(clippy::needless_pass_by_value, reason = "a test reads best without a borrow")]
    pub fn then_rejected(self, expected: E)
    where
        E: PartialEq,
    {
        match self.outcome {
            Err(rejection) if rejection == expected => {}
            Err(rejection) => panic!("expected: rejected, {expected:?}\ndecided: rejected, {rejection:?}{}", self.hint),
            Ok(events) => panic!("expected: rejected, {expected:?}\ndecided:{}{}", facts::lines(&events), self.hint),
        }
    }

    #[track_caller]
    fn compare(self, expected: &[Ev]) {
        let (expected_lines, hint) = (facts::lines(expected), self.hint);
        match self.outcome {
            Ok(events) if events == expected => {}
            Ok(events) => panic!("expected:{expected_lines}\ndecided:{}{hint}", facts::lines(&events)),
            Err(rejection) => panic!("expected:{expected_lines}\ndecided: rejected, {rejection:?}{hint}"),
        }
    }
}
