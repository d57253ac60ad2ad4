//! Appends to PostgreSQL, and a follower behind them: writers × events an append.

use anyhow::{Result, ensure};

use super::round::{self, Load, Outcome};
use crate::command::Sample;
use crate::config::Config;
use crate::database::Databases;
use crate::row::Rounds;
use crate::system::System;
use crate::table::{Better, Cell, Row, Table, micros, rate, short};

/// Measures every combination.
///
/// # Errors
/// Where a system fails, or a follower of Factum's does not get every event once.
pub(super) fn run(config: &Config, systems: &[System], databases: &mut Databases, table: &mut Table) -> Result<()> {
    for &events in &config.postgres.appends_of {
        for &writers in &config.postgres.writers {
            let load = Load { writers, events, seconds: config.postgres.seconds, followed: true };
            let sharing: Vec<_> = systems.iter().copied().filter(|&system| round::processes(system) <= writers).collect();
            let measured = measure(config, &sharing, load, databases)?;
            push(&sharing, load, &measured, table);
        }
    }
    Ok(())
}

/// What the rounds showed of appends, and of followers.
struct Measured {
    appends: Rounds,
    followed: Rounds,
}

/// Has the systems do the same in turns.
fn measure(config: &Config, systems: &[System], load: Load, databases: &mut Databases) -> Result<Measured> {
    let mut measured = Measured { appends: Rounds::default(), followed: Rounds::default() };
    for _ in 0..config.postgres.rounds {
        for &system in systems {
            let Outcome { appends, followed } = round::run(system, load, databases, &config.folder)?;
            measured.appends.add(system, appends);
            let Some(followed) = followed else { continue };
            let ours = matches!(system, System::Factum | System::TwoProcesses);
            let wrong = followed.missed + followed.doubled;
            ensure!(!ours || wrong == 0, "{wrong} events never came to the follower of {system:?}, or more than once");
            measured.followed.add(system, followed);
        }
    }
    Ok(measured)
}

fn push(systems: &[System], load: Load, Measured { appends, followed }: &Measured, table: &mut Table) {
    let plural = |count, word: &str| if count == 1 { format!("1 {word}") } else { format!("{count} {word}s") };
    let what = format!("{} × {}", plural(load.writers, "writer"), plural(load.events, "event"));
    table.push(rates(format!("append, {what}"), systems, load, appends));
    table.push(cells(format!("from there to a follower, {what}"), systems, |system| lag(system, followed)));
    table
        .push(cells(format!("events that the follower missed, or had twice, {what}"), systems, |system| wrong(system, followed)));
}

/// A row of rates, which it compares, with latencies.
pub(super) fn rates(what: String, systems: &[System], load: Load, rounds: &Rounds) -> Row {
    let mut row = Row::new(what, Better::Higher).of_systems(System::ON_POSTGRES);
    for &system in systems {
        let value = rounds.median(system, Sample::rate);
        let [p50, p99] =
            [rounds.median(system, |sample| sample.p50_us), rounds.median(system, |sample| sample.p99_us)].map(micros);
        let events = if load.events == 1 { String::new() } else { format!(" ({} events)", short(value * load.events as f64)) };
        let refused = rounds.median(system, |sample| sample.refused as f64 / sample.calls as f64);
        let refused = if refused < 0.005 { String::new() } else { format!(", {:.0} % tried again", refused * 100.0) };
        row.cell(system, Cell { value, shown: format!("{}{events}, p50 {p50}, p99 {p99}{refused}", rate(value)) });
    }
    row
}

fn cells(what: String, systems: &[System], cell: impl Fn(System) -> Cell) -> Row {
    let mut row = Row::new(what, Better::Lower).of_systems(System::ON_POSTGRES);
    for &system in systems {
        // Nothing can be compared with what is not there.
        let none = Cell { value: f64::NAN, shown: "none".to_owned() };
        row.cell(system, if system == System::PostgresEs { none } else { cell(system) });
    }
    row
}

fn lag(system: System, rounds: &Rounds) -> Cell {
    let [p50, p99] = [rounds.median(system, |sample| sample.p50_us), rounds.median(system, |sample| sample.p99_us)];
    Cell { value: p99, shown: format!("p50 {}, p99 {}", micros(p50), micros(p99)) }
}

/// What was missed in all rounds, and what came twice, if anything did.
fn wrong(system: System, rounds: &Rounds) -> Cell {
    let (missed, doubled) = (rounds.sum(system, |sample| sample.missed), rounds.sum(system, |sample| sample.doubled));
    let twice = if doubled == 0 { String::new() } else { format!(", {doubled} twice") };
    let shown = format!("{missed} of {}{twice}", short(rounds.events(system) as f64));
    Cell { value: (missed + doubled) as f64, shown }
}
