//! A point in time.

use std::fmt;
use std::str::FromStr;
use std::time::{Duration, SystemTime};

/// Microseconds since 1970-01-01T00:00:00Z, negative before it; written as RFC 3339 in UTC.
///
/// ```
/// # use factum::Timestamp;
/// let time: Timestamp = "2011-10-11 13:45:40.276+02:00".parse()?;
/// assert_eq!(time.to_string(), "2011-10-11T11:45:40.276Z");
/// # Ok::<(), factum::TimestampError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

/// A text that is no point in time: write it as RFC 3339, with its offset from UTC.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no point in time: write it like 2026-11-23T09:30:00Z, offset included")]
pub struct TimestampError {
    text: String,
}

impl Timestamp {
    /// The time as this machine's clock tells it.
    pub fn now() -> Self {
        SystemTime::now().into()
    }

    /// The time this many microseconds after 1970-01-01T00:00:00Z.
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// Microseconds since 1970-01-01T00:00:00Z.
    pub const fn as_micros(self) -> i64 {
        self.0
    }

    /// This much earlier.
    #[must_use]
    pub fn earlier(self, by: Duration) -> Self {
        Self(self.0.saturating_sub(by.as_micros().try_into().unwrap_or(i64::MAX)))
    }

    /// This much later.
    #[must_use]
    pub fn later(self, by: Duration) -> Self {
        Self(self.0.saturating_add(by.as_micros().try_into().unwrap_or(i64::MAX)))
    }
}

impl From<SystemTime> for Timestamp {
    fn from(time: SystemTime) -> Self {
        let micros = |d: Duration| i64::try_from(d.as_micros()).unwrap_or(i64::MAX);
        match time.duration_since(SystemTime::UNIX_EPOCH) {
            Ok(after) => Self(micros(after)),
            Err(before) => Self(-micros(before.duration())),
        }
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_microsecond(self.0) {
            Ok(time) => time.fmt(f),
            // Beyond the year 9999, which RFC 3339 cannot write.
            Err(_) => write!(f, "{}us", self.0),
        }
    }
}

impl FromStr for Timestamp {
    type Err = TimestampError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.parse::<jiff::Timestamp>() {
            Ok(time) => Ok(Self(time.as_microsecond())),
            Err(_) => Err(TimestampError { text: text.to_owned() }),
        }
    }
}

/// What tells a store the time.
pub trait Clock: Send + Sync + 'static {
    /// The time now.
    fn now(&self) -> Timestamp;
}

/// This machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}
