//! The power goes: after any operation of a workload, with the unsynced lost, torn and reordered, the store has all that it
//! acknowledged, nothing that was not appended, and nothing in part.

mod check;
mod workload;

use std::collections::HashSet;
use std::fmt;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Instant;

use factum_embedded::simulation::{CrashState, Image, Random, SimulatedDisk};

use self::check::{Expectation, Trouble};
use self::workload::History;

/// The crash states of a whole run, at least.
const STATES: usize = 100_000;
/// The states at one place of a workload's log, at most.
const STATES_EACH: usize = 12;
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
        let total = self.total();
        write!(
            f,
            "{total} crash states ({killed:?} after a kill, {once:?} after one crash, {twice:?} after two, {thrice:?} after three)"
        )
    }
}

#[test]
fn a_crash_at_any_moment_loses_nothing_acknowledged_and_leaves_nothing_in_part() {
    let checked = Checked::default();
    let start = Instant::now();
    if let Some(seed) = seed_to_repeat() {
        check_workload(seed, &checked);
        return println!("{checked} of workload {seed} in {:.0?}", start.elapsed());
    }
    let next_seed = AtomicU64::new(1);
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(2, |threads| threads.get()) {
            scope.spawn(|| {
                while checked.total() < STATES {
                    check_workload(next_seed.fetch_add(1, Ordering::Relaxed), &checked);
                }
            });
        }
    });
    println!("{checked} of {} workloads in {:.0?}", next_seed.load(Ordering::Relaxed) - 1, start.elapsed());
    assert!(STATES <= checked.total());
}

/// The seed of a failure that is to be repeated.
fn seed_to_repeat() -> Option<u64> {
    let seed = std::env::var("FACTUM_SEED").ok()?;
    Some(seed.parse().expect("FACTUM_SEED is a number"))
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().build().expect("a runtime can be built")
}

/// Checks every state of one workload; panics with what is wrong.
fn check_workload(seed: u64, checked: &Checked) {
    runtime().block_on(async {
        let disk = SimulatedDisk::new();
        let history = workload::run(&disk, seed).await;
        let mut states = States { random: Random::new(!seed), seen: HashSet::new(), checked };
        for state in disk.crash_states(seed, STATES_EACH) {
            if let Err(trouble) = states.check(&state, &history).await {
                report(seed, &disk, state.operations, &format!("{trouble:?}\n{state:?}"));
            }
        }
        for operations in 0..disk.operations() {
            if let Err(trouble) = states.check_kill(&disk, operations, &history).await {
                report(seed, &disk, operations, &format!("{trouble:?}, where a process was killed and the power went later"));
            }
        }
    });
}

fn report(seed: u64, disk: &SimulatedDisk, operations: usize, trouble: &str) -> ! {
    let log = disk.log();
    let first = operations.saturating_sub(12);
    let lines: Vec<_> = (first..).zip(&log[first..operations]).map(|(at, line)| format!("  {at}: {line}")).collect();
    panic!(
        "{trouble}\nthe last operations before it:\n{}\n\
         repeat it with: FACTUM_SEED={seed} cargo test -p factum-embedded --test it crash::a_crash_at_any_moment",
        lines.join("\n")
    );
}

/// Checks the states of one workload, each once.
struct States<'a> {
    random: Random,
    seen: HashSet<(u128, usize)>,
    checked: &'a Checked,
}

impl States<'_> {
    async fn check(&mut self, state: &CrashState, history: &History) -> Result<(), Trouble> {
        let expected = expectation(history, state.operations);
        if !self.seen.insert((state.image.digest(), expected.at_least)) {
            return Ok(());
        }
        let again = if self.random.once_in(8) { CRASHES } else { 1 };
        self.check_image(&state.image, expected, 1..=again).await
    }

    /// Checks what the next process makes of it when one is killed, and then some of the crashes while that one goes on: what it
    /// read may be no less durable than if it had written it itself.
    async fn check_kill(&mut self, disk: &SimulatedDisk, operations: usize, history: &History) -> Result<(), Trouble> {
        let disk = disk.killed_after(operations);
        let recovered = check::check(disk, expectation(history, operations), &mut self.random).await?;
        self.checked.count(0);
        let states: Vec<_> = recovered.disk.crash_states(self.random.number(), AGAIN).starting_at(recovered.opened).collect();
        for _ in 0..AGAIN {
            let state = self.random.pick(&states);
            let expected = recovered.expectation(state.operations);
            self.check_image(&state.image, expected, 1..=1).await?;
        }
        Ok(())
    }

    /// Checks an image, and for the second crash on also some of the crashes while it recovers and goes on.
    async fn check_image(
        &mut self,
        image: &Image,
        expected: Expectation<'_>,
        crashes: std::ops::RangeInclusive<usize>,
    ) -> Result<(), Trouble> {
        let number = *crashes.start();
        let recovered = check::check(image.disk(), expected, &mut self.random).await?;
        self.checked.count(number);
        if self.random.once_in(4) {
            let same = Expectation { history: expected.history, at_least: recovered.commits, at_most: recovered.commits };
            check::check(without_derived(image).disk(), same, &mut self.random).await?;
            self.checked.count(number);
        }
        if number == *crashes.end() {
            return Ok(());
        }
        let mut states: Vec<_> = recovered.disk.crash_states(self.random.number(), 3).collect();
        for _ in 0..AGAIN {
            let state = states.swap_remove(self.random.below(states.len()));
            let expected = if state.operations < recovered.opened { expected } else { recovered.expectation(state.operations) };
            Box::pin(self.check_image(&state.image, expected, number + 1..=*crashes.end())).await?;
        }
        Ok(())
    }
}

fn without_derived(image: &Image) -> Image {
    let mut image = image.clone();
    image.retain(|name| !DERIVED.iter().any(|suffix| name.ends_with(suffix)));
    image
}

/// What a history allows after so many operations.
fn expectation(history: &History, operations: usize) -> Expectation<'_> {
    let acknowledged = history.iter().rposition(|commit| commit.acknowledged <= operations);
    let submitted = history.iter().rposition(|commit| commit.submitted <= operations);
    let count = |last: Option<usize>| last.map_or(0, |last| last + 1);
    Expectation { history, at_least: count(acknowledged), at_most: count(submitted) }
}

/// What the crash states of a workload on a bad disk look like to the check: the first trouble of each place in the log.
fn troubles(seed: u64, spoil: impl Fn(&SimulatedDisk)) -> Vec<Trouble> {
    runtime().block_on(async {
        let disk = SimulatedDisk::new();
        spoil(&disk);
        let history = workload::run(&disk, seed).await;
        let mut random = Random::new(seed);
        let mut troubles = Vec::new();
        for state in disk.crash_states(seed, 4) {
            let expected = expectation(&history, state.operations);
            troubles.extend(check::check(state.image.disk(), expected, &mut random).await.err());
        }
        troubles
    })
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
