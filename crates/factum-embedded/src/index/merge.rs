//! Merging runs that follow each other into one: their lists, one after the other.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::io;
use std::sync::Arc;

use super::run::{Run, Section};
use super::write::{Plan, RunWriter};
use super::{List, Source};
use crate::disk::Disk;

/// Writes the run of all the events of some runs, which follow each other; returns its name.
pub(crate) fn merge(disk: &dyn Disk, runs: &[Arc<Run>]) -> io::Result<String> {
    // A merged run would have a right checksum over whatever had decayed before.
    if let Some(damaged) = runs.iter().find(|run| !run.verify()) {
        return Err(io::Error::other(format!("the index run {} is damaged", damaged.name())));
    }
    let (first, last) = (runs[0].header(), runs[runs.len() - 1].header());
    let ranges = runs.iter().map(|run| run.header()).filter(|header| 0 < header.events).map(|header| header.id_range);
    let plan = Plan {
        log_id: first.log_id,
        first: first.first,
        events: runs.iter().map(|run| run.header().events).sum(),
        terms: Terms::new(runs).count() as u64,
        id_range: ranges.reduce(|a, b| (a.0.min(b.0), a.1.max(b.1))).unwrap_or_default(),
        resume: last.resume,
        marks: runs
            .iter()
            .flat_map(|run| run.marks())
            .map(|(name, through)| (name.to_owned(), through))
            .collect::<BTreeMap<_, _>>(),
    };
    let mut writer = RunWriter::create(disk, plan)?;
    for run in runs {
        let offsets = run.section(Section::Offsets);
        writer.offset(&offsets[..run.events() as usize * 4])?;
    }
    merge_ids(runs, &mut writer)?;
    let mut ordinals = Vec::new();
    for (hash, parts) in Terms::new(runs) {
        ordinals.clear();
        for &(run, n) in &parts {
            let start = ordinals.len();
            runs[run].nth_list(n).decode(&mut ordinals);
            let shift = shift(runs, run);
            ordinals[start..].iter_mut().for_each(|ordinal| *ordinal += shift);
        }
        let (run, n) = parts[0];
        writer.term(hash, runs[run].nth_list(n).first_version(), &ordinals)?;
    }
    writer.finish()
}

/// What an ordinal of a run is more in the merged one.
fn shift(runs: &[Arc<Run>], run: usize) -> u32 {
    (runs[run].first() - runs[0].first()) as u32
}

fn merge_ids(runs: &[Arc<Run>], writer: &mut RunWriter<'_>) -> io::Result<()> {
    let entry = |run: usize, n: usize| (n < runs[run].events() as usize).then(|| runs[run].id(n) + u64::from(shift(runs, run)));
    let mut next: BinaryHeap<_> = (0..runs.len()).filter_map(|run| Some(Reverse((entry(run, 0)?, run, 0)))).collect();
    while let Some(Reverse((id, run, n))) = next.pop() {
        writer.id(id)?;
        next.extend(entry(run, n + 1).map(|id| Reverse((id, run, n + 1))));
    }
    Ok(())
}

/// The terms of some runs, in the order of their hashes, each with the runs that have it and its number there.
struct Terms<'a> {
    runs: &'a [Arc<Run>],
    next: BinaryHeap<Reverse<(u128, usize, usize)>>,
}

impl<'a> Terms<'a> {
    fn new(runs: &'a [Arc<Run>]) -> Self {
        let mut terms = Self { runs, next: BinaryHeap::new() };
        (0..runs.len()).for_each(|run| terms.push(run, 0));
        terms
    }

    fn push(&mut self, run: usize, n: usize) {
        if (n as u64) < self.runs[run].header().terms {
            self.next.push(Reverse((self.runs[run].hash(n), run, n)));
        }
    }
}

impl Iterator for Terms<'_> {
    type Item = (u128, Vec<(usize, usize)>);

    fn next(&mut self) -> Option<Self::Item> {
        let Reverse((hash, run, n)) = self.next.pop()?;
        self.push(run, n + 1);
        let mut parts = vec![(run, n)];
        while let Some(&Reverse((other, run, n))) = self.next.peek()
            && other == hash
        {
            self.next.pop();
            self.push(run, n + 1);
            parts.push((run, n));
        }
        Some((hash, parts))
    }
}
