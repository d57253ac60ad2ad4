//! One round of one system on PostgreSQL.

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use anyhow::{Result, ensure};

use crate::child::Child;
use crate::command::{Command, Sample, Write};
use crate::database::Databases;
use crate::moments::Moments;
use crate::stats::Latencies;
use crate::system::System;

/// What is appended before anything is measured, so that no table is empty and every connection has been used.
const WARM_WRITERS: u64 = 16;
const WARM_EVENTS: u64 = 10;
const WARM_SECONDS: f64 = 0.3;

/// The numbers of a process' writers begin at a multiple of this; those of the warming at 0.
const NUMBERS: u64 = 1_000;

/// What writers do in a round.
#[derive(Debug, Clone, Copy)]
pub(super) struct Load {
    /// How many there are, in all processes.
    pub writers: u64,
    /// How many events they append at a time.
    pub events: u64,
    /// For how long.
    pub seconds: f64,
    /// Whether somebody follows.
    pub followed: bool,
}

/// What came of it.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Outcome {
    /// The appends.
    pub appends: Sample,
    /// The events at the follower, if there is one: how many should have come, and how long after their acknowledgement.
    pub followed: Option<Sample>,
}

/// How many processes share the load.
pub(super) fn processes(system: System) -> u64 {
    if system == System::TwoProcesses { 2 } else { 1 }
}

/// Measures a system in new processes on a new database.
///
/// # Errors
/// Where the system fails.
pub(super) fn run(system: System, load: Load, databases: &mut Databases, folder: &Path) -> Result<Outcome> {
    let database = databases.create();
    let start = |_| Child::start_on_postgres(system, &database.url);
    let mut children = (0..processes(system)).map(start).collect::<Result<Vec<_>>>()?;
    let moments = |name: String| folder.join(format!("moments-{name}"));
    let warm = Write {
        first: 0,
        writers: WARM_WRITERS,
        events: WARM_EVENTS,
        seconds: WARM_SECONDS,
        moments: moments("warm".to_owned()),
    };
    let warm = children[0].measure(&Command::Write(warm))?.events;
    databases.analyse(&database)?;
    // What nobody can follow is not followed.
    let followed = load.followed && system != System::PostgresEs;
    let seen = moments("seen".to_owned());
    if followed {
        children[0].measure(&Command::Follow)?;
        children[0].measure(&Command::Followed { events: warm, moments: seen.clone() })?;
    }
    let (appends, acknowledged) = write(&mut children, load, |process| moments(process.to_string()))?;
    let followed = match followed {
        true => {
            children[0].measure(&Command::Followed { events: warm + acknowledged.count(), moments: seen.clone() })?;
            Some(compared(&acknowledged, &Moments::read(&seen)?))
        }
        false => None,
    };
    children.into_iter().try_for_each(Child::kill)?;
    databases.remove(&database)?;
    Ok(Outcome { appends, followed })
}

/// Has all processes write at the same time.
fn write(children: &mut [Child], load: Load, file: impl Fn(usize) -> std::path::PathBuf) -> Result<(Sample, Moments)> {
    let writers = load.writers / children.len() as u64;
    ensure!(writers != 0, "every process needs a writer");
    for (process, child) in children.iter_mut().enumerate() {
        let (first, Load { events, seconds, .. }) = (NUMBERS * (process as u64 + 1), load);
        child.send(&Command::Write(Write { first, writers, events, seconds, moments: file(process) }))?;
    }
    let (mut all, mut moments) = (Sample::default(), Moments::default());
    for (process, child) in children.iter_mut().enumerate() {
        let sample = child.measured()?;
        all.calls += sample.calls;
        all.events += sample.events;
        all.refused += sample.refused;
        all.seconds = all.seconds.max(sample.seconds);
        moments.extend(Moments::read(&file(process))?);
    }
    let mut latencies = Latencies::default();
    moments.iter().for_each(|moment| latencies.add(Duration::from_nanos(moment.took_ns)));
    let Sample { p50_us, p99_us, .. } = Sample::new(all.calls, Duration::from_secs_f64(all.seconds), &mut latencies);
    Ok((Sample { p50_us, p99_us, ..all }, moments))
}

/// How long after their acknowledgement events came to a follower, which of them never did, and which more than once.
fn compared(acknowledged: &Moments, seen: &Moments) -> Sample {
    let mut came: HashMap<u64, (u64, u64)> = HashMap::new();
    for moment in seen.iter() {
        came.entry(moment.number).or_insert((moment.at_us, 0)).1 += 1;
    }
    let (mut lags, mut missed, mut doubled) = (Latencies::default(), 0, 0);
    for moment in acknowledged.iter() {
        match came.get(&moment.number) {
            Some(&(at_us, times)) => {
                // It may come before the writer hears of it.
                lags.add(Duration::from_micros(at_us.saturating_sub(moment.at_us)));
                doubled += u64::from(1 < times);
            }
            None => missed += 1,
        }
    }
    let sample = Sample::new(lags.count(), Duration::ZERO, &mut lags);
    Sample { events: acknowledged.count(), missed, doubled, ..sample }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::compared;
    use crate::moments::Moments;

    #[test]
    fn what_a_follower_did_not_get_or_got_twice_is_counted() {
        let of = |numbers: &[u64]| {
            let mut moments = Moments::default();
            numbers.iter().for_each(|&number| moments.add(number, Duration::ZERO));
            moments
        };
        // 9 was there before, and is no event of this round.
        let sample = compared(&of(&[1, 2, 3, 4]), &of(&[9, 2, 1, 2]));
        assert_eq!((sample.events, sample.calls, sample.missed, sample.doubled), (4, 2, 2, 1));
    }
}
