//! Memory: while loading, and of one who opens and reads.

use anyhow::Result;

use crate::child::Child;
use crate::command::{Command, Memory};
use crate::config::{Config, Size};
use crate::loaded::Loaded;
use crate::system::System;
use crate::table::{Better, Cell, Goal, Row, Table, short};
use crate::workload::LongStream;

/// Compares what no file backs, which is what a process cannot give back; and shows the peak with mapped files.
///
/// # Errors
/// Where a system fails.
pub(crate) fn run(config: &Config, loaded: &mut Loaded, table: &mut Table) -> Result<()> {
    for size in config.sizes() {
        let of = format!("{} events in {} streams", short(size.set.events as f64), short(size.set.streams() as f64));
        let new = |what: &str| {
            let goals: &[Goal] = if config.is_large(&size) { &[Goal::AtMost(100.0, "100 MiB")] } else { &[] };
            Row::new(format!("peak memory {what}, {of}"), Better::Lower).goals(goals)
        };
        let [mut loading, mut reading] = [new("while loading"), new("after opening and reading")];
        for &system in &size.systems {
            let load = loaded.load(system, size.set)?;
            loading.cell(system, cell(Memory { anonymous: load.sample.anonymous_kib, ..load.memory }));
            reading.cell(system, cell(read(config, loaded, system, &size)?));
        }
        table.push(loading);
        table.push(reading);
    }
    Ok(())
}

/// Opens the system and makes each kind of call for a while.
fn read(config: &Config, loaded: &mut Loaded, system: System, size: &Size) -> Result<Memory> {
    let mut child = Child::start(system, &loaded.load(system, size.set)?.folder)?;
    let (events, seconds, seed) = (size.set.events, config.seconds, 99);
    child.measure(&Command::ReadStreams { events, kind: LongStream::Scattered, seconds, seed })?;
    child.measure(&Command::ReadTagged { events, seconds, seed })?;
    let memory = child.memory()?;
    child.close()?;
    Ok(memory)
}

fn cell(memory: Memory) -> Cell {
    let [anonymous, peak] = [memory.anonymous, memory.peak].map(|kib| kib as f64 / 1_024.0);
    Cell { value: anonymous, shown: format!("{anonymous:.0} MiB ({peak:.0} with files)") }
}
