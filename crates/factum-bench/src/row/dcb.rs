//! Decisions on two tags.

use anyhow::Result;

use super::{latencies, measure_calls};
use crate::command::Command;
use crate::config::Config;
use crate::loaded::Loaded;
use crate::table::{Goal, Table, short};

/// Measures the read that a decision is made on, and the whole decision with its durable append.
///
/// # Errors
/// Where a system fails.
pub(crate) fn run(config: &Config, loaded: &mut Loaded, table: &mut Table) -> Result<()> {
    for size in config.sizes() {
        let (events, seconds) = (size.set.events, config.seconds);
        let among = format!("on 2 tags among {} events", short(events as f64));
        let rounds = measure_calls(config, loaded, &size, |seed| Command::ReadTagged { events, seconds, seed })?;
        let goals: &[Goal] = if config.is_large(&size) { &[Goal::AtMost(100.0, "p99 100 µs")] } else { &[] };
        table.push(latencies(format!("check {among}"), &size.systems, &rounds).goals(goals));
        let rounds = measure_calls(config, loaded, &size, |seed| Command::Decide { events, seconds, seed })?;
        table.push(latencies(format!("check and durable append {among}"), &size.systems, &rounds));
    }
    Ok(())
}
