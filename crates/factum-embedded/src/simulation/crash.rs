//! The states that a power loss could leave.

use std::collections::{HashSet, VecDeque};
use std::fmt;
use std::sync::Arc;

use super::Image;
use super::landed::Landed;
use super::operation::Operation;
use super::random::Random;
use super::unsynced::Unsynced;

/// One state, and how it came to be.
#[derive(Clone)]
pub struct CrashState {
    /// How many operations were done before the power went.
    pub operations: usize,
    /// What of those that were not synced became durable all the same.
    pub landed: Landed,
    /// What is left.
    pub image: Image,
}

/// The crash states of a disk's log, place by place; at each place: only what was synced, all of it, and a sample of the rest.
pub struct CrashStates {
    log: Arc<[Operation]>,
    /// The disk after so many operations of the log.
    disk: Unsynced,
    at: usize,
    random: Random,
    states_each: usize,
    ready: VecDeque<CrashState>,
}

/// How many choices are made for each state that is wanted: some lead to one that is there already.
const TRIES: usize = 2;

impl CrashStates {
    pub(super) fn new(base: &Image, log: Arc<[Operation]>, seed: u64, states_each: usize) -> Self {
        let random = Random::new(seed);
        let mut states = Self { log, disk: Unsynced::new(base), at: 0, random, states_each, ready: VecDeque::new() };
        states.sample();
        states
    }

    /// Leaves out the places before this one.
    #[must_use]
    pub fn starting_at(mut self, operations: usize) -> Self {
        while self.at < operations.min(self.log.len()) {
            self.disk.step(&self.log[self.at]);
            self.at += 1;
        }
        self.ready.clear();
        self.sample();
        self
    }

    /// Makes ready the different states at this place.
    fn sample(&mut self) {
        let pending = self.disk.pending();
        let choices = if pending.is_empty() { 1 } else { self.states_each * TRIES };
        let mut seen = HashSet::new();
        for choice in 0..choices {
            let landed = match choice {
                0 => Landed::NOTHING,
                1 => Landed::EVERYTHING,
                _ => Landed::some(&pending, &mut self.random),
            };
            let image = self.disk.image(&landed);
            if seen.insert(image.digest()) {
                self.ready.push_back(CrashState { operations: self.at, landed, image });
            }
            if self.states_each <= seen.len() {
                return;
            }
        }
    }
}

impl fmt::Debug for CrashState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "after {} operations, with {:?}:", self.operations, self.landed)?;
        let mut files = self.image.files.iter();
        files.try_for_each(|(name, bytes)| write!(f, " {name} of {} bytes,", bytes.len()))
    }
}

impl Iterator for CrashStates {
    type Item = CrashState;

    fn next(&mut self) -> Option<CrashState> {
        while self.ready.is_empty() {
            self.disk.step(self.log.get(self.at)?);
            self.at += 1;
            self.sample();
        }
        self.ready.pop_front()
    }
}
