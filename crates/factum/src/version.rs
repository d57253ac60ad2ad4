//! A version: how many events a stream has.

use std::fmt;

/// The number of events in a stream; on an event, its ordinal in that stream.
///
/// The first event has 1, so 0 means "before anything". Reads start *after* the version they are given: nobody adds or
/// subtracts one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Version(u64);

impl Version {
    /// The version of a stream with no events.
    pub const EMPTY: Self = Self(0);
    /// After every version there can be.
    pub const MAX: Self = Self(u64::MAX);

    /// The version of a stream with this many events.
    pub const fn new(events: u64) -> Self {
        Self(events)
    }

    /// The number of events.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The version after one more event.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }

    /// The version just before this one; [`Version::EMPTY`] has none before it and stays.
    #[must_use]
    pub const fn previous(self) -> Self {
        Self(self.0.saturating_sub(1))
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The versions `v` with `after < v <= through`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Versions {
    /// The versions start after this one.
    pub after: Version,
    /// The last of them.
    pub through: Version,
}

impl Versions {
    /// Every version there can be.
    pub const ALL: Self = Self { after: Version::EMPTY, through: Version::MAX };

    /// Whether `version` is one of them.
    pub fn contains(self, version: Version) -> bool {
        self.after < version && version <= self.through
    }
}
