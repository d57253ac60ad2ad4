//! The pace: how many appends come together lately, and how long a call for them takes.

use std::time::{Duration, Instant};

/// A call is held back at most this part of what the last one took: what can be lost by waiting in vain.
const PART: u32 = 8;
/// And never longer than this.
const MOST: Duration = Duration::from_millis(1);

#[derive(Debug, Default)]
pub(crate) struct Pace {
    last: usize,
    before: usize,
    took: Duration,
}

impl Pace {
    /// That so many appends were in a call, and how long it took.
    pub(crate) fn called(&mut self, appends: usize, took: Duration) {
        self.before = std::mem::replace(&mut self.last, appends);
        self.took = took;
    }

    /// Gives way to those that were just answered and are on their way back, until as many wait as came lately, or for a moment.
    pub(crate) async fn gather(&self, waiting: impl Fn() -> usize) {
        let (begun, moment) = (Instant::now(), (self.took / PART).min(MOST));
        // A timer counts in milliseconds: this is less.
        while waiting() < self.last.max(self.before) && begun.elapsed() < moment {
            tokio::task::yield_now().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    /// How often it was looked, with one more waiting at each look, and one at the first.
    async fn looks(pace: &Pace) -> usize {
        let looks = Cell::new(0);
        pace.gather(|| {
            looks.set(looks.get() + 1);
            looks.get()
        })
        .await;
        looks.get()
    }

    #[tokio::test]
    async fn as_many_are_waited_for_as_came_in_the_larger_of_the_last_two_calls() {
        let mut pace = Pace::default();
        assert_eq!(looks(&pace).await, 1, "one is what came lately, and it is there");
        for (appends, expected) in [(16, 16), (3, 16), (1, 3), (1, 1)] {
            pace.called(appends, Duration::from_secs(60));
            assert_eq!(looks(&pace).await, expected);
        }
    }

    #[tokio::test]
    async fn who_does_not_come_again_is_waited_for_a_moment() {
        let mut pace = Pace::default();
        pace.called(16, Duration::from_secs(60));
        let begun = Instant::now();
        pace.gather(|| 1).await;
        assert!(MOST <= begun.elapsed());
        pace.called(16, Duration::ZERO);
        assert_eq!(looks(&pace).await, 1);
    }
}
