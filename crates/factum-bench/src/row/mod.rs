//! The rows of the table: one file each kind.

use anyhow::Result;

use crate::command::{Command, Sample};
use crate::config::{Config, Size};
use crate::loaded::Loaded;
use crate::stats::median;
use crate::system::System;
use crate::table::{Better, Cell, Row, micros};

pub(crate) mod append;
pub(crate) mod dcb;
pub(crate) mod disk;
pub(crate) mod memory;
pub(crate) mod open;
pub(crate) mod postgres;
pub(crate) mod project;
pub(crate) mod read;
pub(crate) mod stream;

/// Samples of some systems, a round after the other.
#[derive(Debug, Default)]
pub(crate) struct Rounds(Vec<(System, Sample)>);

impl Rounds {
    /// Adds a sample.
    pub(crate) fn add(&mut self, system: System, sample: Sample) {
        self.0.push((system, sample));
    }

    /// The median over the rounds of something of a system's samples; NaN where it has none.
    pub(crate) fn median(&self, system: System, of: impl Fn(&Sample) -> f64) -> f64 {
        median(self.of(system).map(of))
    }

    /// How many events there were in all of a system's samples.
    pub(crate) fn events(&self, system: System) -> u64 {
        self.sum(system, |sample| sample.events)
    }

    /// How much there was of something in all of a system's samples.
    pub(crate) fn sum(&self, system: System, of: impl Fn(&Sample) -> u64) -> u64 {
        self.of(system).map(of).sum()
    }

    fn of(&self, system: System) -> impl Iterator<Item = &Sample> {
        self.0.iter().filter(move |(sampled, _)| *sampled == system).map(|(_, sample)| sample)
    }
}

/// Has the systems make the same calls in turns; each round gets its own seed.
fn measure_calls(config: &Config, loaded: &mut Loaded, size: &Size, call: impl Fn(u64) -> Command) -> Result<Rounds> {
    let mut children = loaded.open_all(size)?;
    let mut rounds = Rounds::default();
    for round in 0..config.rounds as u64 {
        for (system, child) in &mut children {
            rounds.add(*system, child.measure(&call(round))?);
        }
    }
    children.into_iter().try_for_each(|(_, child)| child.close().map(|_| ()))?;
    Ok(rounds)
}

/// A row of latencies: it shows p50 and p99, and compares p99.
fn latencies(what: String, systems: &[System], rounds: &Rounds) -> Row {
    let mut row = Row::new(what, Better::Lower);
    for &system in systems {
        let [p50, p99] = [rounds.median(system, |sample| sample.p50_us), rounds.median(system, |sample| sample.p99_us)];
        row.cell(system, Cell { value: p99, shown: format!("p50 {}, p99 {}", micros(p50), micros(p99)) });
    }
    row
}
