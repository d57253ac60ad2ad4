//! Stores on PostgreSQL: all of them on one server, each in databases of its own.

use anyhow::Result;

use crate::child::Child;
use crate::config::Config;
use crate::contending::python;
use crate::database::Databases;
use crate::projection::program;
use crate::system::System;
use crate::table::Table;

mod append;
mod dcb;
mod logs;
mod round;

/// Measures appends with a follower behind them, decisions on tags, and one log beside several.
///
/// # Errors
/// Where a system fails, or a follower of Factum's does not get every event once.
pub(crate) fn run(config: &Config, table: &mut Table) -> Result<()> {
    let mut databases = Databases::start(&config.folder)?;
    let systems = startable(config, &mut databases, table)?;
    append::run(config, &systems, &mut databases, table)?;
    logs::run(config, &mut databases, table)?;
    dcb::run(config, &systems, &mut databases, table)?;
    table.note(note(config, &databases.version()?));
    Ok(())
}

/// The systems that start here; of the others, the table says why not.
fn startable(config: &Config, databases: &mut Databases, table: &mut Table) -> Result<Vec<System>> {
    let mut systems = Vec::new();
    for &system in &config.postgres.systems {
        let database = databases.create();
        match Child::start_on_postgres(system, &database.url).and_then(Child::close) {
            Ok(_) => systems.push(system),
            Err(error) => table.note(format!("{} was not measured: {error:#}", system.title())),
        }
        databases.remove(&database)?;
    }
    Ok(systems)
}

/// How the systems do it.
fn note(config: &Config, version: &str) -> String {
    format!(
        "PostgreSQL {version} with its own settings, so fsync and synchronous_commit are on; one server for all, a new database \
         for each measurement, with some events in it that were analysed. Medians of {} rounds of {} s, the systems in turns. \
         Events of about 200 bytes of JSON; each append expects its writer's own stream as it left it, and is tried again where \
         a system refuses it all the same. Factum and disintegrate keep two tags an event, the others none. The pools are as \
         each library makes them: 10 connections, in eventsourcing up to 15. A follower runs beside the writers, and its lag \
         counts from the acknowledgement; missed is what is in the log and never came to it, in all rounds. It is Factum's \
         subscription, of one process where there are two; disintegrate-postgres' listener ({}), woken by notifications; \
         eventcore-postgres' `read_events` ({}) after the last position, asked again after 1 ms where there is nothing, without \
         the runner that writes a checkpoint for each event; eventsourcing's notification log ({}) by `select`, likewise. \
         postgres-es ({}), by `persist` without loading the aggregate, has no order over streams and nothing that follows. \
         eventsourcing is Python: one process with a thread a writer. disintegrate's functions are written for PostgreSQL 16: \
         before it, one hexadecimal number in them is written in decimal.",
        config.postgres.rounds,
        config.postgres.seconds,
        program::DISINTEGRATE_VERSION,
        program::EVENTCORE_VERSION,
        python::VERSION,
        program::POSTGRES_ES_VERSION,
    )
}
