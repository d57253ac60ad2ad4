//! Projections: events become rows of a table.

use anyhow::{Result, ensure};

use super::Rounds;
use crate::child::Child;
use crate::command::{Command, Sample};
use crate::config::Config;
use crate::deposit::ACCOUNTS;
use crate::projection::{eventsourced, program};
use crate::system::System;
use crate::table::{Better, Cell, Row, Table, rate, short};

/// How many writers leave events behind, if they can.
const MANY_WRITERS: u64 = 16;

/// Measures how fast a table is filled from events that are there, how it follows those that come, and how soon it shows one.
///
/// # Errors
/// Where a system fails, or Factum's table is not what its events add up to.
pub(crate) fn run(config: &Config, table: &mut Table) -> Result<()> {
    let systems = startable(config, table)?;
    if systems.is_empty() {
        return Ok(());
    }
    let events = config.projected;
    let rounds = measure(config, &systems, Some(&Command::Load { events }), &Command::CatchUp)?;
    table.push(rates(format!("project {} events that are there", short(events as f64)), &systems, &rounds));
    let seconds = config.seconds;
    for &writers in &config.live_writers {
        let rounds = measure(config, &systems, None, &Command::Live { writers, seconds, streams: 1 })?;
        let plural = if writers == 1 { "" } else { "s" };
        table.push(rates(format!("project while {writers} writer{plural} record events"), &systems, &rounds));
    }
    let rounds = measure(config, &systems, None, &Command::Show { seconds })?;
    let what = "a command, until a reader of the table sees what it did".to_owned();
    table.push(super::latencies(what, &systems, &rounds).of_projection());
    let command = Command::Live { writers: MANY_WRITERS, seconds, streams: ACCOUNTS };
    let rounds = measure(config, &systems, None, &command)?;
    let what =
        format!("events that never came to the table, or twice, of {MANY_WRITERS} writers to {} streams", short(ACCOUNTS as f64));
    table.push(misses(what, &systems, &rounds));
    table.note(note());
    Ok(())
}

/// The systems that start here; of the others, the table says why not.
fn startable(config: &Config, table: &mut Table) -> Result<Vec<System>> {
    let mut systems = Vec::new();
    for &system in &config.projectors {
        let folder = config.folder.join(format!("try-{}", system.name()));
        match Child::start_projecting(system, &folder).and_then(Child::close) {
            Ok(_) => systems.push(system),
            Err(error) => table.note(format!("{} was not measured: {error:#}", system.title())),
        }
    }
    Ok(systems)
}

/// Has the systems do the same in turns, each in a new process on a new folder.
fn measure(config: &Config, systems: &[System], first: Option<&Command>, command: &Command) -> Result<Rounds> {
    let folder = config.folder.join("project");
    let start = |&system| Ok((system, Child::start_projecting(system, &folder.join(system.name()))?));
    let mut children = systems.iter().map(start).collect::<Result<Vec<(System, Child)>>>()?;
    if let Some(first) = first {
        children.iter_mut().try_for_each(|(_, child)| child.measure(first).map(|_| ()))?;
    }
    let mut rounds = Rounds::default();
    for _ in 0..config.rounds {
        for (system, child) in &mut children {
            let sample = child.measure(command)?;
            let ours = matches!(system, System::Factum | System::Partitioned);
            let wrong = sample.missed + sample.doubled;
            ensure!(!ours || wrong == 0, "{wrong} events never came to the table of {system:?}, or more than once");
            rounds.add(*system, sample);
        }
    }
    children.into_iter().try_for_each(|(_, child)| child.close().map(|_| ()))?;
    std::fs::remove_dir_all(&folder)?;
    Ok(rounds)
}

fn rates(what: String, systems: &[System], rounds: &Rounds) -> Row {
    let mut row = Row::new(what, Better::Higher).of_projection();
    for &system in systems {
        let value = rounds.median(system, Sample::event_rate);
        row.cell(system, Cell { value, shown: rate(value) + &wrong(rounds, system) });
    }
    row
}

fn misses(what: String, systems: &[System], rounds: &Rounds) -> Row {
    let mut row = Row::new(what, Better::Lower).of_projection();
    for &system in systems {
        let value = rounds.median(system, |sample| (sample.missed + sample.doubled) as f64);
        let calls = rounds.median(system, |sample| sample.calls as f64);
        row.cell(system, Cell { value, shown: format!("{} of {}{}", short(value), short(calls), wrong(rounds, system)) });
    }
    row
}

/// What was missed, and what was counted twice, if anything was.
fn wrong(rounds: &Rounds, system: System) -> String {
    let [missed, doubled] = [|sample: &Sample| sample.missed, |sample: &Sample| sample.doubled]
        .map(|count| rounds.median(system, |sample| count(sample) as f64));
    let told = |count: f64, what: &str| if count == 0.0 { String::new() } else { format!(", {} {what}", short(count)) };
    told(missed, "missed") + &told(doubled, "twice")
}

/// How the systems do it.
fn note() -> String {
    format!(
        "Projections: an event changes one of {ACCOUNTS} rows. Factum's table is in SQLite (WAL, `synchronous` NORMAL), and at \
         most {} events and the checkpoint are a transaction. cqrs-es {} by sqlite-es: a view with the same settings, a \
         transaction an event, filled by `QueryReplay` or inside the command after its commit, where a crash in between loses \
         the update. eventsourced-projection {}: a table in PostgreSQL (`synchronous_commit` off), a transaction an event and \
         its number, asked for events every ms instead of every 2 s. All of them acknowledge events that are durable. \
         eventsourced numbers the events of each entity, and a projection follows these numbers: all accounts are one entity, \
         except in the last row, where each is one.",
        factum::BATCH_EVENTS,
        program::CQRS_ES_VERSION,
        eventsourced::VERSION,
    )
}
