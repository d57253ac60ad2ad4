//! Opening: after a kill, and after a clean close.

use std::path::Path;

use anyhow::{Result, ensure};

use super::Rounds;
use crate::child::Child;
use crate::command::Command;
use crate::config::{Config, Size};
use crate::loaded::Loaded;
use crate::system::System;
use crate::table::{Better, Cell, Goal, Row, Table, micros, short};

/// What is appended before a kill, so that there is something to recover.
const BEFORE_KILL: Command = Command::Append { writers: 16, events: 100, seconds: 0.5 };

/// Kills a system that has just appended, opens it, closes it, and opens it again.
///
/// # Errors
/// Where a system fails, or has lost what it acknowledged.
pub(crate) fn run(config: &Config, loaded: &mut Loaded, table: &mut Table) -> Result<()> {
    for size in config.sizes() {
        let [mut killed, mut closed] = [Rounds::default(), Rounds::default()];
        for &system in &size.systems {
            let folder = loaded.load(system, size.set)?.folder;
            let before = count(system, &folder)?;
            let mut appended = 0;
            for _ in 0..config.rounds {
                let mut child = Child::start(system, &folder)?;
                appended += child.measure(&BEFORE_KILL)?.events;
                child.kill()?;
                let child = Child::start(system, &folder)?;
                killed.add(system, child.opened());
                child.close()?;
                let child = Child::start(system, &folder)?;
                closed.add(system, child.opened());
                child.close()?;
            }
            let after = count(system, &folder)?;
            ensure!(
                after == before + appended,
                "{system:?} keeps {after} events of the {} that it acknowledged",
                before + appended
            );
        }
        let events = short(size.set.events as f64);
        let row = |how: &str, rounds, goal| row(&format!("open with {events} events, {how}"), &size, rounds).goals(&[goal]);
        table.push(row("after a clean close", &closed, Goal::AtMost(20e3, "20 ms")));
        table.push(row("after a kill", &killed, Goal::AtMost(1e6, "1 s")));
    }
    Ok(())
}

fn count(system: System, folder: &Path) -> Result<u64> {
    let mut child = Child::start(system, folder)?;
    let events = child.measure(&Command::ReadAll)?.events;
    child.close()?;
    Ok(events)
}

fn row(what: &str, size: &Size, rounds: &Rounds) -> Row {
    let mut row = Row::new(what, Better::Lower);
    for &system in &size.systems {
        let value = rounds.median(system, |sample| sample.seconds * 1e6);
        row.cell(system, Cell { value, shown: micros(value) });
    }
    row
}
