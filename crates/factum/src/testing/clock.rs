//! A clock that a test sets.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use crate::{Clock, Timestamp};

/// A clock that stands still until it is set. Clones tell the same time.
///
/// ```
/// # use std::time::Duration;
/// # use factum::testing::ManualClock;
/// # use factum::{Clock, MemoryStore};
/// let clock = ManualClock::new("2026-11-23T09:30:00Z".parse()?);
/// let store = MemoryStore::with_clock(clock.clone());
/// clock.advance(Duration::from_secs(3_600));
/// assert_eq!(clock.now().to_string(), "2026-11-23T10:30:00Z");
/// # Ok::<(), factum::TimestampError>(())
/// ```
#[derive(Debug, Clone)]
pub struct ManualClock(Arc<AtomicI64>);

impl ManualClock {
    /// A clock at this time.
    pub fn new(now: Timestamp) -> Self {
        Self(Arc::new(AtomicI64::new(now.as_micros())))
    }

    /// Sets it, forward or back.
    pub fn set(&self, now: Timestamp) {
        self.0.store(now.as_micros(), Ordering::SeqCst);
    }

    /// Sets it this much later.
    pub fn advance(&self, by: Duration) {
        self.set(self.now().later(by));
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.0.load(Ordering::SeqCst))
    }
}
