//! Reading one long stream among many.

use anyhow::Result;

use super::{latencies, measure_calls};
use crate::command::Command;
use crate::config::Config;
use crate::loaded::Loaded;
use crate::table::{Goal, Table, short};
use crate::workload::{LONG_STREAM, LongStream};

/// Measures long streams of either kind.
///
/// # Errors
/// Where a system fails or returns another number of events.
pub(crate) fn run(config: &Config, loaded: &mut Loaded, table: &mut Table) -> Result<()> {
    for size in config.sizes() {
        for (kind, lie) in [(LongStream::Together, "side by side"), (LongStream::Scattered, "scattered over the log")] {
            let (events, seconds) = (size.set.events, config.seconds);
            let rounds = measure_calls(config, loaded, &size, |seed| Command::ReadStreams { events, kind, seconds, seed })?;
            let streams = short(size.set.streams() as f64);
            let what = format!("read one stream of {LONG_STREAM} events {lie}, among {streams} streams");
            let goals: &[Goal] = if config.is_large(&size) { &[Goal::AtMost(50.0, "p99 50 µs")] } else { &[] };
            table.push(latencies(what, &size.systems, &rounds).goals(goals));
        }
    }
    Ok(())
}
