//! A back-off: how often something that failed is tried again, and when.

use std::time::Duration;

/// What a handler of events says of its failure: any error.
pub type HandlerError = Box<dyn std::error::Error + Send + Sync>;

/// Tries, each after twice the time of the one before.
///
/// ```
/// # use std::time::Duration;
/// # use factum::Backoff;
/// let backoff = Backoff { first: Duration::from_secs(1), longest: Duration::from_secs(3), tries: 5 };
/// let waits: Vec<_> = (1..=5).map_while(|failures| backoff.after(failures)).map(|wait| wait.as_secs()).collect();
/// assert_eq!(waits, [1, 2, 3, 3]); // four waits between five tries
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// The wait after the first failure.
    pub first: Duration,
    /// No wait is longer.
    pub longest: Duration,
    /// How often it is tried in all, the first time included.
    pub tries: u32,
}

impl Backoff {
    /// Tried once, and never again.
    pub const NEVER: Self = Self { first: Duration::ZERO, longest: Duration::ZERO, tries: 1 };

    /// Five tries within about three seconds.
    pub const SHORT: Self = Self { first: Duration::from_millis(200), longest: Duration::from_secs(5), tries: 5 };

    /// How long to wait after this many failures in a row, counted from 1; `None` where it is not to be tried again.
    pub fn after(&self, failures: u32) -> Option<Duration> {
        if self.tries <= failures {
            return None;
        }
        let doublings = failures.saturating_sub(1).min(31);
        Some(self.first.saturating_mul(1 << doublings).min(self.longest))
    }
}
