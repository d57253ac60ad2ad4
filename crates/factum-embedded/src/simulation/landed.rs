//! Which of the operations that were not synced became durable all the same.

use std::collections::BTreeSet;

use super::operation::FileId;
use super::random::{Random, mix};

/// A choice for one crash state; its `Debug` form names the operations by their places in the log, counted from 0.
#[derive(Debug, Clone)]
pub struct Landed {
    data: Operations,
    sectors: Sectors,
    lengths: Lengths,
    names: Operations,
}

/// Some of the operations.
#[derive(Debug, Clone)]
enum Operations {
    None,
    All,
    /// Those up to this one.
    Through(usize),
    Only(BTreeSet<usize>),
}

/// Which sectors of the operations that landed did.
#[derive(Debug, Clone)]
enum Sectors {
    All,
    /// Of this operation, those that a coin chose; all of the others'.
    Torn {
        operation: usize,
        coin: u64,
    },
    /// Of this operation, those before a sector of the file, or those from it on; all of the others'.
    Split {
        operation: usize,
        sector: u64,
        before: bool,
    },
    /// Of each operation, those that a coin chose.
    Scattered {
        coin: u64,
    },
}

/// What became of a change of a file's length, beside its bytes.
#[derive(Debug, Clone)]
enum Lengths {
    /// It landed where the operation did.
    WithData,
    None,
    All,
    /// A coin chose, for each.
    Scattered {
        coin: u64,
    },
}

/// What is not synced: places in the log, rising.
#[derive(Debug, Clone, Default)]
pub(super) struct Pending {
    /// Of operations on files' bytes and lengths.
    pub(super) data: BTreeSet<usize>,
    /// Of operations on names.
    pub(super) names: Vec<usize>,
    /// Of the writes, with the first sector and the last.
    pub(super) writes: Vec<(usize, u64, u64)>,
}

impl Pending {
    pub(super) fn is_empty(&self) -> bool {
        self.data.is_empty() && self.names.is_empty()
    }
}

impl Landed {
    /// Only what was synced.
    pub(super) const NOTHING: Self =
        Self { data: Operations::None, sectors: Sectors::All, lengths: Lengths::WithData, names: Operations::None };

    /// All that was ever written: what a process leaves that is killed.
    pub(super) const EVERYTHING: Self =
        Self { data: Operations::All, sectors: Sectors::All, lengths: Lengths::WithData, names: Operations::All };

    /// Some of it.
    pub(super) fn some(pending: &Pending, random: &mut Random) -> Self {
        let mut landed = Self { names: Operations::some(&pending.names, random), ..Self::EVERYTHING };
        match random.below(6) {
            0 => landed.data = Operations::some(&pending.data, random),
            1 => landed.sectors = Sectors::Scattered { coin: random.number() },
            2 => landed.lengths = if random.once_in(2) { Lengths::None } else { Lengths::All },
            3 => {
                landed.data = Operations::some(&pending.data, random);
                landed.sectors = Sectors::Scattered { coin: random.number() };
                landed.lengths = Lengths::Scattered { coin: random.number() };
            }
            _ => landed.sectors = Sectors::one_torn(&pending.writes, random),
        }
        landed
    }

    /// Whether the operation on a name did.
    pub(super) fn name(&self, operation: usize) -> bool {
        self.names.has(operation)
    }

    /// Whether the operation did in this sector.
    pub(super) fn sector(&self, operation: usize, file: FileId, sector: u64) -> bool {
        self.data.has(operation)
            && match self.sectors {
                Sectors::All => true,
                Sectors::Torn { operation: torn, coin } => operation != torn || toss(coin, operation, file, sector),
                Sectors::Split { operation: split, sector: at, before } => operation != split || (sector < at) == before,
                Sectors::Scattered { coin } => toss(coin, operation, file, sector),
            }
    }

    /// Whether the operation's change of the file's length did.
    pub(super) fn length(&self, operation: usize, file: FileId) -> bool {
        match self.lengths {
            Lengths::WithData => self.data.has(operation),
            Lengths::None => false,
            Lengths::All => true,
            Lengths::Scattered { coin } => toss(coin, operation, file, u64::MAX),
        }
    }
}

impl Operations {
    fn has(&self, operation: usize) -> bool {
        match self {
            Self::None => false,
            Self::All => true,
            Self::Through(last) => operation <= *last,
            Self::Only(chosen) => chosen.contains(&operation),
        }
    }

    fn some<'a>(of: impl IntoIterator<Item = &'a usize>, random: &mut Random) -> Self {
        let of: Vec<usize> = of.into_iter().copied().collect();
        match random.below(4) {
            _ if of.is_empty() => Self::None,
            0 => Self::None,
            1 => Self::All,
            // The last ones matter most: they are what the crash came upon.
            2 => Self::Through(*random.pick(&of[of.len().saturating_sub(LAST)..])),
            _ => Self::Only(of.into_iter().filter(|_| random.once_in(2)).collect()),
        }
    }
}

impl Sectors {
    fn one_torn(writes: &[(usize, u64, u64)], random: &mut Random) -> Self {
        if writes.is_empty() {
            return Self::All;
        }
        let &(operation, first, last) = random.pick(&writes[writes.len().saturating_sub(LAST)..]);
        if random.once_in(2) {
            return Self::Torn { operation, coin: random.number() };
        }
        let sector = first + random.below((last - first) as usize + 1) as u64;
        Self::Split { operation, sector, before: random.once_in(2) }
    }
}

/// How many of the last operations a choice prefers.
const LAST: usize = 4;

fn toss(coin: u64, operation: usize, file: FileId, sector: u64) -> bool {
    mix(coin ^ mix(operation as u64 ^ mix(file as u64 ^ mix(sector)))) & 1 == 0
}
