//! A process: an aggregate that events of others happen to, and that answers them with commands.

mod failed;
mod timers;
mod instance;
mod instances;
mod journal;
mod quarantine;
mod turn;
mod session;
mod release;
mod reactor;
mod dispatch;
mod status;
mod runner;

use std::time::Duration;

pub use dispatch::Dispatch;
pub(crate) use instance::Instance;
pub use quarantine::{Quarantine, QuarantineError, Quarantined};
pub use runner::{ProcessError, ProcessRunner, RunningProcess};
pub use status::ProcessStatus;
pub(crate) use timers::changes;

use crate::{Aggregate, EventSet, NameError, Query, Timestamp, TypedEvent};

/// A state machine that outlives its program: what happens elsewhere happens to it too, and has effects: commands, and timers.
///
/// An *instance* of it is an aggregate. An input that concerns an instance leads to events of its own, by
/// [`react`](Self::react), which are recorded together with how far the process has come: each input counts exactly once. An own
/// event has [`effects`](Self::effects): commands, sent at least once, each with an id that makes repeats harmless
/// ([`Log::once`](crate::Log::once)); and timers, which outlive the program too and lead to own events by [`wake`](Self::wake).
///
/// All of it is pure: values in, values out, and no clock. So it is tested without a store
/// ([`testing::given_process`](crate::testing::given_process)), and what it did can be seen in its stream for good.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a process",
    label = "nothing says what happens to this type, and what it does then",
    note = "implement `factum::Process` for it, beside `factum::Aggregate`: its inputs, its commands, which instance an input \
            concerns, how it reacts, and the effects of its own events"
)]
pub trait Process: Aggregate {
    /// The events that it listens to: an [`Event`](crate::Event), or an enum over several of them.
    type Inputs: EventSet;

    /// What it asks for.
    type Command: Send + 'static;

    /// Which events it is given: those of [`Self::Inputs`], unless this says something narrower. It never is given those of its
    /// own category, nor those of the system's streams.
    ///
    /// # Errors
    /// [`NameError`] where something in it is no name.
    fn query() -> Result<Query, NameError> {
        Self::Inputs::query()
    }

    /// The instance that an input concerns; `None` where it concerns none.
    fn instance(input: &TypedEvent<Self::Inputs>) -> Option<Self::Id>;

    /// The own events that an input leads to; none where it changes nothing.
    fn react(&self, input: &TypedEvent<Self::Inputs>) -> Vec<Self::Event>;

    /// The own events that a timer leads to when it goes off.
    fn wake(&self, _timer: &str) -> Vec<Self::Event> {
        Vec::new()
    }

    /// What an own event leads to, in order. Keep it as it is for events that are recorded: it is asked again at each start.
    fn effects(event: &TypedEvent<Self::Event>) -> Vec<Effect<Self::Command>>;
}

/// What an own event of a [`Process`] leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect<C> {
    /// A command is sent.
    Send(C),
    /// The instance is woken this long after what the event answers to: after its input was recorded, or its timer was due. So a
    /// process that is late is not late twice.
    WakeAfter {
        /// The timer's name, one of the instance's. A timer of that name that has not gone off yet is replaced.
        timer: String,
        /// How long.
        after: Duration,
    },
    /// The instance is woken at this time; at once where that is past.
    WakeAt {
        /// The timer's name, as in [`Effect::WakeAfter`].
        timer: String,
        /// When.
        at: Timestamp,
    },
    /// The timer does not go off, where it has not yet.
    Cancel {
        /// The timer's name.
        timer: String,
    },
}

impl<C> Effect<C> {
    /// [`Effect::WakeAfter`].
    pub fn wake_after(timer: impl Into<String>, after: Duration) -> Self {
        Self::WakeAfter { timer: timer.into(), after }
    }

    /// [`Effect::WakeAt`].
    pub fn wake_at(timer: impl Into<String>, at: Timestamp) -> Self {
        Self::WakeAt { timer: timer.into(), at }
    }

    /// [`Effect::Cancel`].
    pub fn cancel(timer: impl Into<String>) -> Self {
        Self::Cancel { timer: timer.into() }
    }
}
