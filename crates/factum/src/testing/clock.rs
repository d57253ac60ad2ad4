//! A clock that a test sets.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::{Clock, Timestamp};

/// Stands still until a test moves it. Clones are one clock.
#[derive(Debug, Clone)]
pub struct ManualClock(Arc<Mutex<Timestamp>>);

impl ManualClock {
    /// A clock that stands at this time.
    pub fn new(time: Timestamp) -> Self {
        Self(Arc::new(Mutex::new(time)))
    }

    /// Sets the time, back too.
    pub fn set(&self, time: Timestamp) {
        *self.time() = time;
    }

    /// Moves the time on.
    pub fn advance(&self, by: Duration) {
        let mut time = self.time();
        *time = time.later(by);
    }

    fn time(&self) -> MutexGuard<'_, Timestamp> {
        // There is no half of a time for a panic to leave behind.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        *self.time()
    }
}
