//! A decision: a state and a command lead to events, or to a reason why not.

use std::error::Error;

use crate::{Aggregate, AppendError, Appended, CodecError, Conflict, NameError, StoreError, Version};

/// An aggregate that decides a command which is data: see [`Repository::execute`](crate::Repository::execute).
///
/// A decision is pure. It is made again where another writer gets there first, so anything that it did beside would be done
/// again: look things up before, and pass them in the command.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not decide the command `{C}`",
    label = "this aggregate has no rule for the command",
    note = "implement `factum::Decide<{C}>` for `{Self}`, or pass a closure to `decide`"
)]
pub trait Decide<C>: Aggregate {
    /// Why a command is refused.
    type Rejection;

    /// The events that the command leads to, in this state; none where there is nothing to do.
    ///
    /// # Errors
    /// The reason why the command is refused.
    fn decide(&self, command: C) -> Result<Vec<Self::Event>, Self::Rejection>;
}

/// How often a command is decided before a conflict is reported: somebody else got something done each time.
pub const ATTEMPTS_MAX: u32 = 16;

/// What a command to an aggregate led to.
#[derive(Debug)]
#[non_exhaustive]
pub struct Decided<E> {
    /// The events, in order; none where there was nothing to do.
    pub events: Vec<E>,
    /// The version of the aggregate's stream with them.
    pub version: Version,
    /// What recorded them; `None` where there were none. Who has read through `positions.through` has seen them.
    pub appended: Option<Appended>,
    /// Why a snapshot that was due is not kept. The events are recorded all the same.
    pub snapshot_error: Option<Box<dyn Error + Send + Sync>>,
}

/// Why a command led to nothing.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DecideError<E> {
    /// The domain refuses the command.
    #[error("{0}")]
    Rejected(E),
    /// Other writers got there first every time: try again when there are fewer of them.
    #[error("other writers got there first {attempts} times, so nothing was recorded: try again ({conflict})")]
    Conflict {
        /// The last conflict.
        conflict: Conflict,
        /// How often the command was decided.
        attempts: u32,
    },
    /// The id makes no stream name or tag, or a model's scope none.
    #[error(transparent)]
    Name(#[from] NameError),
    /// An event was decided outside an aggregate, and nothing says where it goes.
    #[error("{event_type} has no tag, so it has no stream: tag it, or name one with `Draft::to`")]
    NoStream {
        /// The event's type.
        event_type: &'static str,
    },
    /// A stored event cannot be read, or a decided one not written.
    #[error(transparent)]
    Codec(#[from] CodecError),
    /// The store takes no such events: they are too many or too large.
    #[error(transparent)]
    Refused(AppendError),
    /// The store failed; its [`kind`](StoreError::kind) says what to do, and whether anything may have been recorded.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a state is not loaded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// The id makes no stream name, or a model's scope no tag.
    #[error(transparent)]
    Name(#[from] NameError),
    /// A stored event cannot be read.
    #[error(transparent)]
    Codec(#[from] CodecError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl<E> From<LoadError> for DecideError<E> {
    fn from(error: LoadError) -> Self {
        match error {
            LoadError::Name(error) => Self::Name(error),
            LoadError::Codec(error) => Self::Codec(error),
            LoadError::Store(error) => Self::Store(error),
        }
    }
}

impl<E> DecideError<E> {
    /// Why an append that is not to be decided again recorded nothing.
    pub(crate) fn of_append(error: AppendError, attempts: u32) -> Self {
        match error {
            AppendError::Conflict(conflict) => Self::Conflict { conflict, attempts },
            AppendError::Store(error) => Self::Store(error),
            refused => Self::Refused(refused),
        }
    }
}
