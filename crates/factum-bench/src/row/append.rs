//! Durable appends: writers × events an append.

use anyhow::{Result, ensure};

use super::Rounds;
use crate::child::Child;
use crate::command::{Command, Sample};
use crate::config::Config;
use crate::system::System;
use crate::table::{Better, Cell, Goal, Row, Table, micros, rate, short};

/// Measures every combination, each in new processes on new folders.
///
/// # Errors
/// Where a system fails, or does not give back what was appended.
pub(crate) fn run(config: &Config, table: &mut Table) -> Result<()> {
    let folder = config.folder.join("append");
    // The disk itself needs no new folder: its file is written round and round.
    let mut bare = match config.systems.contains(&System::Bare) {
        true => Some(Child::start(System::Bare, &config.folder.join(System::Bare.name()))?),
        false => None,
    };
    for &events in &config.appends_of {
        for &writers in &config.writers {
            let start = |system| Ok((system, Child::start(system, &folder.join(system.name()))?));
            let mut children = config.common().systems.into_iter().map(start).collect::<Result<Vec<_>>>()?;
            children.extend(bare.take().map(|child| (System::Bare, child)));
            let rounds = measure(config, &mut children, writers, events)?;
            for (system, child) in children {
                match system {
                    System::Bare => bare = Some(child),
                    store => close(store, child, rounds.events(store))?,
                }
            }
            std::fs::remove_dir_all(&folder)?;
            table.push(row(config, writers, events, &rounds));
        }
    }
    Ok(())
}

fn measure(config: &Config, children: &mut [(System, Child)], writers: usize, events: usize) -> Result<Rounds> {
    let mut rounds = Rounds::default();
    for _ in 0..config.rounds {
        for (system, child) in children.iter_mut() {
            rounds.add(*system, child.measure(&Command::Append { writers, events, seconds: config.seconds })?);
        }
    }
    Ok(rounds)
}

/// Counts what a store gives back of all that it acknowledged, then closes it.
fn close(system: System, mut child: Child, appended: u64) -> Result<()> {
    let kept = child.measure(&Command::ReadAll)?.events;
    ensure!(kept == appended, "{system:?} keeps {kept} events of the {appended} that it acknowledged");
    child.close().map(|_| ())
}

fn row(config: &Config, writers: usize, events: usize, rounds: &Rounds) -> Row {
    let plural = |count, word: &str| if count == 1 { format!("1 {word}") } else { format!("{count} {word}s") };
    let what = format!("append, {} × {}", plural(writers, "writer"), plural(events, "event"));
    let mut row = Row::new(what, Better::Higher).goals(goals(writers, events));
    for &system in &config.systems {
        let value = rounds.median(system, Sample::rate);
        let p50 = micros(rounds.median(system, |sample| sample.p50_us));
        let shown = match events {
            1 => format!("{}, p50 {p50}", rate(value)),
            _ => format!("{} ({} events), p50 {p50}", rate(value), short(value * events as f64)),
        };
        row.cell(system, Cell { value, shown });
    }
    row
}

fn goals(writers: usize, events: usize) -> &'static [Goal] {
    match (writers, events) {
        (1, 1) => &[Goal::Times(0.8, System::Bare), Goal::Times(2.0, System::Umadb), Goal::Ahead(System::Sqlite)],
        (16, 1) => &[Goal::Times(4.0, System::Umadb)],
        (64, 1) => &[Goal::Times(8.0, System::Umadb)],
        (256, 1) => &[Goal::Times(12.0, System::Umadb)],
        (16, 100) => &[Goal::Times(3.0, System::Umadb)],
        _ => &[],
    }
}
