//! The pace: how many appends come together lately, and how long a call for them takes.

use std::time::{Duration, Instant};

use crate::batch::APPENDS_MAX;

/// How many appends are in a call at first.
const MOST_AT_FIRST: usize = 64;
/// Where a call takes longer, the next one has half as many appends: all other processes wait for it.
const LONG: Duration = Duration::from_secs(1);

/// A call is held back at most this part of what the last one took: what can be lost by waiting in vain.
const PART: u32 = 8;
/// And never longer than this.
const MOST: Duration = Duration::from_millis(1);

#[derive(Debug)]
pub(crate) struct Pace {
    last: usize,
    before: usize,
    took: Duration,
    most: usize,
}

impl Default for Pace {
    fn default() -> Self {
        Self { last: 0, before: 0, took: Duration::ZERO, most: MOST_AT_FIRST }
    }
}

impl Pace {
    /// How many appends the next call has at most.
    pub(crate) fn most(&self) -> usize {
        self.most
    }

    /// That so many appends were in a call, and how long it took.
    pub(crate) fn called(&mut self, appends: usize, took: Duration) {
        self.before = std::mem::replace(&mut self.last, appends);
        self.took = took;
        self.most = match LONG < took {
            true => (appends / 2).max(1),
            false if self.most <= appends => (2 * self.most).min(APPENDS_MAX),
            false => self.most,
        };
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

    #[test]
    fn a_call_that_takes_long_is_followed_by_smaller_ones_until_they_do_not() {
        let mut pace = Pace::default();
        for most in [2 * MOST_AT_FIRST, 4 * MOST_AT_FIRST, APPENDS_MAX, APPENDS_MAX] {
            pace.called(pace.most(), LONG);
            assert_eq!(pace.most(), most);
        }
        for most in [100, 50, 25] {
            pace.called(2 * most, 2 * LONG);
            assert_eq!(pace.most(), most);
        }
        pace.called(1, 2 * LONG);
        assert_eq!(pace.most(), 1, "one is called, however long it takes");
        pace.called(1, LONG);
        assert_eq!(pace.most(), 2);
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
