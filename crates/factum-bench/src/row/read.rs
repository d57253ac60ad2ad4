//! Reading everything, from a warm page cache.

use std::path::PathBuf;

use anyhow::{Result, ensure};

use super::Rounds;
use crate::child::Child;
use crate::command::{Command, Sample};
use crate::config::Config;
use crate::loaded::Loaded;
use crate::system::System;
use crate::table::{Better, Cell, Goal, Row, Table, rate, short};
use crate::workload::DATA_BYTES;

/// What the names of Factum's files of events end with.
const SEGMENTS: &str = ".seg";

/// Measures the common data set on every system, and the bytes of Factum's own files as the limit.
///
/// # Errors
/// Where a system fails, or does not give back what was loaded.
pub(crate) fn run(config: &Config, loaded: &mut Loaded, table: &mut Table) -> Result<()> {
    let size = config.common();
    let mut children = loaded.open_all(&size)?;
    let mut limit = match size.systems.contains(&System::Factum) && config.systems.contains(&System::Bare) {
        true => Some(Limit::start(config, loaded.load(System::Factum, size.set)?.folder)?),
        false => None,
    };
    let mut rounds = Rounds::default();
    for _ in 0..config.rounds {
        for (system, child) in &mut children {
            let sample = child.measure(&Command::ReadAll)?;
            let Sample { events, bytes, .. } = sample;
            ensure!(bytes == events * DATA_BYTES as u64, "{system:?} returned {bytes} bytes of data for {events} events");
            rounds.add(*system, sample);
        }
        if let Some(limit) = &mut limit {
            rounds.add(System::Bare, Sample { events: size.set.events, ..limit.child.measure(&limit.command)? });
        }
    }
    let mut row = Row::new(format!("read everything, {} events", short(size.set.events as f64)), Better::Higher)
        .goals(&[Goal::Times(0.4, System::Bare), Goal::Times(5.0, System::Umadb)]);
    for &system in &config.systems {
        let value = rounds.median(system, Sample::event_rate);
        if !value.is_nan() {
            row.cell(system, Cell { value, shown: rate(value) });
        }
    }
    table.push(row);
    Ok(())
}

/// The reading of the bytes of Factum's own files.
struct Limit {
    child: Child,
    command: Command,
}

impl Limit {
    fn start(config: &Config, folder: PathBuf) -> Result<Self> {
        let child = Child::start(System::Bare, &config.folder.join(System::Bare.name()))?;
        Ok(Self { child, command: Command::ReadFiles { folder, ending: SEGMENTS.to_owned() } })
    }
}
