//! Decisions on two tags in PostgreSQL.

use anyhow::Result;

use crate::child::Child;
use crate::command::Command;
use crate::config::Config;
use crate::database::Databases;
use crate::row::{Rounds, latencies};
use crate::system::System;
use crate::table::{Table, rate, short};

/// Those that find events by tags, and append on condition of what was found.
const DECIDERS: [System; 2] = [System::Factum, System::Disintegrate];

/// Measures whole decisions: read, decide, append on condition.
///
/// # Errors
/// Where a system fails.
pub(super) fn run(config: &Config, systems: &[System], databases: &mut Databases, table: &mut Table) -> Result<()> {
    let systems: Vec<_> = DECIDERS.into_iter().filter(|decider| systems.contains(decider)).collect();
    let (events, seconds) = (config.common.events, config.postgres.seconds);
    let mut children = Vec::new();
    for &system in &systems {
        let database = databases.create();
        let mut child = Child::start_on_postgres(system, &database.url)?;
        let loaded = child.measure(&Command::Load { events })?;
        eprintln!("loading {} events into {}: {}", short(events as f64), system.name(), rate(loaded.event_rate()));
        databases.analyse(&database)?;
        children.push((system, child));
    }
    let mut rounds = Rounds::default();
    for seed in 0..config.postgres.rounds as u64 {
        for (system, child) in &mut children {
            rounds.add(*system, child.measure(&Command::Decide { events, seconds, seed })?);
        }
    }
    let what = format!("check and durable append on 2 tags among {} events", short(events as f64));
    table.push(latencies(what, &systems, &rounds).of_systems(System::ON_POSTGRES));
    Ok(())
}
