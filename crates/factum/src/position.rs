//! A position: where an event stands in its store.

use std::fmt;

/// The ordinal of an event in its store, handed out in commit order and without gaps.
///
/// The first event has 1, so 0 means "before anything". Reads start *after* the position they are given: nobody adds or
/// subtracts one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Position(u64);

impl Position {
    /// Before the first event; the head of an empty store.
    pub const START: Self = Self(0);
    /// After every position there can be.
    pub const MAX: Self = Self(u64::MAX);

    /// The position of the event with this ordinal, counted from 1.
    pub const fn new(ordinal: u64) -> Self {
        Self(ordinal)
    }

    /// The ordinal.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The position of the event after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }

    /// The position just before this one; [`Position::START`] has none before it and stays.
    #[must_use]
    pub const fn previous(self) -> Self {
        Self(self.0.saturating_sub(1))
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The positions `p` with `after < p <= through`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Range {
    /// The range starts after this position.
    pub after: Position,
    /// The last position of the range.
    pub through: Position,
}

impl Range {
    /// Every position there can be.
    pub const ALL: Self = Self { after: Position::START, through: Position::MAX };

    /// The positions after this one.
    pub const fn after(after: Position) -> Self {
        Self { after, through: Position::MAX }
    }

    /// The positions up to this one.
    pub const fn through(through: Position) -> Self {
        Self { after: Position::START, through }
    }

    /// Whether `position` is in the range.
    pub fn contains(self, position: Position) -> bool {
        self.after < position && position <= self.through
    }

    /// Whether no position is in the range.
    pub fn is_empty(self) -> bool {
        self.through <= self.after
    }
}
