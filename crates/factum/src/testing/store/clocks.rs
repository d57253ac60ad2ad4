//! Recorded time: the clock's, but never back.

use std::time::Duration;

use super::bench::Bench;
use super::builders::{events, everything, record};
use crate::Clock;

pub(super) async fn recorded_time_is_the_clocks_and_never_goes_back(bench: &Bench<'_>) {
    let store = bench.store().await;
    let begin = bench.clock.now();
    let seconds = Duration::from_secs;
    // What the clock says, and what is recorded.
    let table = [(10, 10), (10, 10), (11, 11), (5, 11), (0, 11), (11, 11), (12, 12), (0, 12), (1000, 1000)];
    for (says, is_recorded) in table {
        bench.clock.set(begin.later(seconds(says)));
        let appended = record(&store, events("clock-a", 2)).await;
        assert_eq!(appended.recorded_at, Some(begin.later(seconds(is_recorded))), "the clock says {says} s after the beginning");
    }
    let times: Vec<_> = everything(&store).await.iter().map(|event| event.recorded_at).collect();
    assert!(times.is_sorted(), "recorded time goes back: {times:?}");
    let expected: Vec<_> = table.iter().flat_map(|(_, recorded)| [begin.later(seconds(*recorded)); 2]).collect();
    assert_eq!(times, expected, "an event has another time than its append was answered with");
}
