//! The status of a process: how far it is, and what waits.

use std::time::Duration;

use super::Quarantined;
use crate::{Activity, Position, Timestamp};

/// What a process does just now, in this program.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct ProcessStatus {
    /// What it does.
    pub activity: Activity,
    /// Every input up to here is handled, or waits in quarantine.
    pub handled: Position,
    /// The head of the store, when it was last seen.
    pub head: Position,
    /// When the oldest input that was not yet handled was recorded; `None` where there was none.
    pub waiting_since: Option<Timestamp>,
    /// How many timers are set.
    pub timers: usize,
    /// When the next of them goes off.
    pub next_timer: Option<Timestamp>,
    /// The instances that failed, with those inputs that wait behind.
    pub quarantined: Vec<Quarantined>,
}

impl Default for ProcessStatus {
    fn default() -> Self {
        Self {
            activity: Activity::Standby,
            handled: Position::START,
            head: Position::START,
            waiting_since: None,
            timers: 0,
            next_timer: None,
            quarantined: Vec::new(),
        }
    }
}

impl ProcessStatus {
    /// How many positions lie between what it has handled and the head.
    pub fn lag_events(&self) -> u64 {
        self.head.get().saturating_sub(self.handled.get())
    }

    /// The age of the oldest input that it has not handled.
    pub fn lag(&self, now: Timestamp) -> Duration {
        let micros = self.waiting_since.map_or(0, |since| now.as_micros().saturating_sub(since.as_micros()));
        Duration::from_micros(micros.try_into().unwrap_or_default())
    }
}
