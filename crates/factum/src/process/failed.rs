//! A failure of a process's own code, or of events that it cannot read: what puts an instance into quarantine.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::projection::failure::{message, text};
use crate::{HandlerError, StoreError};

/// Why something of a process did not work.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failed {
    /// Its own code, or an event, as this says: it will fail again.
    #[error("{0}")]
    Here(String),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Failed {
    /// A failure for good.
    pub(crate) fn here(error: impl Into<HandlerError>) -> Self {
        Self::Here(text(&error.into()))
    }
}

/// Runs what a user wrote; a panic in it is a failure.
pub(crate) fn caught<T>(what: &str, run: impl FnOnce() -> T) -> Result<T, Failed> {
    // Whatever it may have left half-done is dropped with the failure.
    catch_unwind(AssertUnwindSafe(run)).map_err(|panic| Failed::Here(format!("{what} panicked: {}", message(&*panic))))
}
