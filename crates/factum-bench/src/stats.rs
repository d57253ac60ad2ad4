//! Medians and percentiles.

use std::time::Duration;

/// The middle of some values, or NaN of none.
pub(crate) fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => f64::NAN,
        odd if odd % 2 == 1 => values[middle],
        _ => (values[middle - 1] + values[middle]) / 2.0,
    }
}

/// How long single calls took.
#[derive(Debug, Default)]
pub(crate) struct Latencies(Vec<u32>);

impl Latencies {
    /// Adds one call.
    pub(crate) fn add(&mut self, took: Duration) {
        self.0.push(took.as_nanos().try_into().unwrap_or(u32::MAX));
    }

    /// Adds the calls of another.
    pub(crate) fn extend(&mut self, other: &Self) {
        self.0.extend_from_slice(&other.0);
    }

    /// How many calls there were.
    pub(crate) fn count(&self) -> u64 {
        self.0.len() as u64
    }

    /// The duration, in microseconds, that this part of the calls did not exceed; NaN where there were none.
    pub(crate) fn percentile(&mut self, part: f64) -> f64 {
        let last = self.0.len().saturating_sub(1);
        let at = (last as f64 * part).round() as usize;
        if self.0.is_empty() { f64::NAN } else { f64::from(*self.0.select_nth_unstable(at).1) / 1_000.0 }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Latencies, median};

    #[test]
    fn a_median_is_the_middle_or_between_the_two_middles() {
        assert_eq!(median([3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median([4.0, 1.0, 2.0, 3.0]), 2.5);
        assert!(median([]).is_nan());
    }

    #[test]
    fn a_percentile_counts_from_the_shortest() {
        let mut latencies = Latencies::default();
        (1..=101).rev().for_each(|micros| latencies.add(Duration::from_micros(micros)));
        assert_eq!([0.0, 0.5, 0.99, 1.0].map(|part| latencies.percentile(part)), [1.0, 51.0, 100.0, 101.0]);
    }
}
