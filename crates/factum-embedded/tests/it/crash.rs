//! The power goes: after any operation of a workload, with the unsynced lost, torn and reordered, the store has all that it
//! acknowledged, nothing that was not appended, and nothing in part.

mod check;
mod workload;

use std::collections::HashSet;
use std::fmt;
use std::ops::RangeInclusive;
use std::panic::{self, AssertUnwindSafe};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Instant;

use factum_embedded::Options;
use factum_embedded::simulation::{CrashState, Image, Random, SimulatedDisk};

use self::check::{Expectation, Trouble};
use self::workload::History;

/// The crash states of a whole run, at least.
const STATES: usize = 100_000;
/// The states at one place of a workload's log, at most.
const STATES_EACH: usize = 6;
/// The crashes one after the other, at most: each comes during what follows the one before.
const CRASHES: usize = 3;
/// How many of the states after a crash are crashed again.
const AGAIN: usize = 3;
/// What can be deleted: it follows from the segments.
const DERIVED: [&str; 3] = [".idx", ".pos", "HEAD"];

/// The states that were checked, by how many crashes led to them; none where a process was killed.
#[derive(Default)]
struct Checked([AtomicUsize; CRASHES + 1]);

impl Checked {
    fn count(&self, crashes: usize) {
        self.0[crashes].fetch_add(1, Ordering::Relaxed);
    }

    fn total(&self) -> usize {
        self.0.iter().map(|count| count.load(Ordering::Relaxed)).sum()
    }
}

impl fmt::Display for Checked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [killed, once, twice, thrice] = &self.0;
        write!(f, "{} crash states ({killed:?} after a kill, ", self.total())?;
        write!(f, "{once:?} after one crash, {twice:?} after two, {thrice:?} after three)")
    }
}

#[test]
fn a_crash_at_any_moment_loses_nothing_acknowledged_and_leaves_nothing_in_part() {
    let checked = Checked::default();
    let start = Instant::now();
    if let Some(seed) = seed_to_repeat() {
        check_workload(seed, &checked).unwrap_or_else(|trouble| panic!("{trouble}"));
        return println!("{checked} of workload {seed} in {:.0?}", start.elapsed());
    }
    let next_seed = AtomicU64::new(1);
    let trouble = OnceLock::new();
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(2, usize::from) {
            scope.spawn(|| {
                while checked.total() < STATES && trouble.get().is_none() {
                    let seed = next_seed.fetch_add(1, Ordering::Relaxed);
                    let _ = check_workload(seed, &checked).map_err(|report| trouble.set(report));
                }
            });
        }
    });
    if let Some(trouble) = trouble.get() {
        panic!("{trouble}");
    }
    println!("{checked} of {} workloads in {:.0?}", next_seed.load(Ordering::Relaxed) - 1, start.elapsed());
    assert!(STATES <= checked.total());
}

/// The seed of a failure that is to be repeated.
fn seed_to_repeat() -> Option<u64> {
    let seed = std::env::var("FACTUM_SEED").ok()?;
    Some(seed.parse().expect("FACTUM_SEED is a number"))
}

/// Runs a workload.
fn run(disk: &SimulatedDisk, seed: u64) -> History {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime can be built");
    runtime.block_on(workload::run(disk, seed))
}

/// Checks every state of one workload; reports what is wrong.
fn check_workload(seed: u64, checked: &Checked) -> Result<(), String> {
    let disk = SimulatedDisk::new();
    let history = panic::catch_unwind(AssertUnwindSafe(|| run(&disk, seed)))
        .map_err(|_| report(seed, &disk, disk.operations(), "a panic, which is told of above"))?;
    let (options, random) = (workload::options(seed), Random::new(!seed));
    let mut states = States { options: &options, history: &history, random, seen: HashSet::new(), checked };
    for state in disk.crash_states(seed, STATES_EACH) {
        states.check(&state).map_err(|trouble| report(seed, &disk, state.operations, &format!("{trouble:?}\n{state:?}")))?;
    }
    for operations in 0..disk.operations() {
        states.check_kill(&disk, operations).map_err(|trouble| {
            report(seed, &disk, operations, &format!("{trouble:?}, where a process was killed and the power went later"))
        })?;
    }
    Ok(())
}

fn report(seed: u64, disk: &SimulatedDisk, operations: usize, trouble: &str) -> String {
    let log = disk.log();
    let first = operations.saturating_sub(12);
    let lines: Vec<_> = (first..).zip(&log[first..operations]).map(|(at, line)| format!("  {at}: {line}")).collect();
    format!(
        "{trouble}\nthe last operations before it:\n{}\n\
         repeat it with: FACTUM_SEED={seed} cargo test -p factum-embedded --test it crash::a_crash_at_any_moment",
        lines.join("\n")
    )
}

/// Checks the states of one workload, each once.
struct States<'a> {
    options: &'a Options,
    history: &'a History,
    random: Random,
    seen: HashSet<(u128, usize)>,
    checked: &'a Checked,
}

impl<'a> States<'a> {
    /// What the workload allows after so many operations.
    fn expectation(&self, operations: usize) -> Expectation<'a> {
        let acknowledged = self.history.iter().rposition(|commit| commit.acknowledged <= operations);
        let submitted = self.history.iter().rposition(|commit| commit.submitted <= operations);
        let count = |last: Option<usize>| last.map_or(0, |last| last + 1);
        Expectation { options: self.options, history: self.history, at_least: count(acknowledged), at_most: count(submitted) }
    }

    fn check(&mut self, state: &CrashState) -> Result<(), Trouble> {
        let expected = self.expectation(state.operations);
        if !self.seen.insert((state.image.digest(), expected.at_least)) {
            return Ok(());
        }
        let again = if self.random.once_in(8) { CRASHES } else { 1 };
        self.check_image(&state.image, expected, 1..=again)
    }

    /// Checks what the next process makes of it when one is killed, and then some of the crashes while that one goes on: what it
    /// read may be no less durable than if it had written it itself.
    fn check_kill(&mut self, disk: &SimulatedDisk, operations: usize) -> Result<(), Trouble> {
        let recovered = check::check(disk.killed_after(operations), self.expectation(operations), &mut self.random)?;
        self.checked.count(0);
        let states: Vec<_> = recovered.disk.crash_states(self.random.number(), AGAIN).starting_at(recovered.opened).collect();
        for _ in 0..AGAIN {
            let state = self.random.pick(&states);
            self.check_image(&state.image, recovered.expectation(self.options, state.operations), 1..=1)?;
        }
        Ok(())
    }

    /// Checks an image, and for the second crash on also some of the crashes while it recovers and goes on.
    fn check_image(&mut self, image: &Image, expected: Expectation<'_>, crashes: RangeInclusive<usize>) -> Result<(), Trouble> {
        let number = *crashes.start();
        let recovered = check::check(image.disk(), expected, &mut self.random)?;
        self.checked.count(number);
        if self.random.once_in(4) {
            let same = Expectation { at_least: recovered.commits, at_most: recovered.commits, ..expected };
            check::check(without_derived(image).disk(), same, &mut self.random)?;
            self.checked.count(number);
        }
        if number == *crashes.end() {
            return Ok(());
        }
        let mut states: Vec<_> = recovered.disk.crash_states(self.random.number(), AGAIN).collect();
        for _ in 0..AGAIN.min(states.len()) {
            let state = states.swap_remove(self.random.below(states.len()));
            let is_open = recovered.opened <= state.operations;
            let expected = if is_open { recovered.expectation(self.options, state.operations) } else { expected };
            self.check_image(&state.image, expected, number + 1..=*crashes.end())?;
        }
        Ok(())
    }
}

fn without_derived(image: &Image) -> Image {
    let mut image = image.clone();
    image.retain(|name| !DERIVED.iter().any(|suffix| name.ends_with(suffix)));
    image
}

/// What the check says of the crash states of a workload on a bad disk.
fn troubles(seed: u64, spoil: impl Fn(&SimulatedDisk)) -> Vec<Trouble> {
    let disk = SimulatedDisk::new();
    spoil(&disk);
    let history = run(&disk, seed);
    let (options, random, checked) = (workload::options(seed), Random::new(seed), Checked::default());
    let mut states = States { options: &options, history: &history, random, seen: HashSet::new(), checked: &checked };
    disk.crash_states(seed, 4).filter_map(|state| states.check(&state).err()).collect()
}

#[test]
fn a_disk_that_lies_about_syncs_is_caught_losing_what_was_acknowledged() {
    let troubles = troubles(1, SimulatedDisk::lie_about_syncs);
    assert!(troubles.iter().any(|trouble| matches!(trouble, Trouble::Lost(_))), "{troubles:?}");
}

#[test]
fn a_disk_that_lies_about_syncs_of_names_is_caught_losing_what_was_acknowledged() {
    let troubles = troubles(1, SimulatedDisk::lie_about_name_syncs);
    assert!(troubles.iter().any(|trouble| matches!(trouble, Trouble::Lost(_))), "{troubles:?}");
}

#[test]
fn an_honest_disk_has_no_trouble() {
    assert_eq!(troubles(1, |_| ()), []);
}
