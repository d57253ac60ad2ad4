//! A process manager: it turns events into commands, and remembers what it waits for.

mod dispatcher;
mod reactor;
mod runner;
mod timers;
mod troubled;

use std::fmt::Debug;
use std::time::Duration;

pub use dispatcher::Cause;
pub use runner::{ProcessError, ProcessRunner, ProcessStatus, RunningProcess};
pub use troubled::Troubled;

use crate::{Aggregate, EventSet, Timestamp, TypedEvent};

/// An aggregate that is fed by other events: what it does is recorded as events of its own, and those lead to commands and
/// timers.
///
/// All of it is pure. What reacts and what has effects runs again after a crash, so look things up in the handler of commands,
/// not here.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a process",
    label = "nothing says what this aggregate reacts to",
    note = "implement `factum::Process` for it: its inputs, whose instance they concern, how it reacts, and what its events \
            lead to"
)]
pub trait Process: Aggregate {
    /// The events that it reacts to. Those of its own are not among them.
    type Inputs: EventSet;

    /// What it has done elsewhere.
    type Command: Send + 'static;

    /// Whom an input concerns; `None` where it concerns nobody.
    fn instance(input: &TypedEvent<Self::Inputs>) -> Option<Self::Id>;

    /// What the instance makes of an input: events of its own, or none.
    fn react(&self, input: &TypedEvent<Self::Inputs>) -> Vec<Self::Event>;

    /// What the instance makes of a timer that goes off: nothing, unless it is written.
    fn wake(&self, _timer: &str) -> Vec<Self::Event> {
        Vec::new()
    }

    /// What an event of its own leads to; `id` is the instance's, as it is written in the stream's name.
    fn effects(id: &str, event: &Self::Event) -> Vec<Effect<Self::Command>>;
}

/// What an event of a process leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Effect<C> {
    /// A command is sent: at least once, with an id that makes repeats harmless. See [`Cause`].
    Send(C),
    /// A timer goes off so long after what caused it: after the input was recorded, or the timer before it was due. One of the
    /// same name is set anew.
    WakeAfter(&'static str, Duration),
    /// A timer goes off at this time, or at once where that is over. One of the same name is set anew.
    WakeAt(&'static str, Timestamp),
    /// A timer that was set does not go off.
    Cancel(&'static str),
}
