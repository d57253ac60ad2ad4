//! When events were acknowledged, and when a follower had them: a file of numbers, the same from every program.

use std::collections::HashSet;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Result, ensure};

/// Bytes of a moment in a file: three numbers, little-endian.
const MOMENT_BYTES: usize = 24;

/// One event at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Moment {
    /// Which event.
    pub number: u64,
    /// When, in microseconds of the clock that all processes of this machine have.
    pub at_us: u64,
    /// How long its append took, in nanoseconds; 0 where it came to a follower.
    pub took_ns: u64,
}

/// Moments in the order in which a process had them.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Moments(Vec<Moment>);

impl Moments {
    /// Adds an event, now.
    pub(crate) fn add(&mut self, number: u64, took: Duration) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        self.0.push(Moment { number, at_us: now.as_micros() as u64, took_ns: took.as_nanos() as u64 });
    }

    /// Adds those of another.
    pub(crate) fn extend(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    /// All of them.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Moment> {
        self.0.iter()
    }

    /// How many there are.
    pub(crate) fn count(&self) -> u64 {
        self.0.len() as u64
    }

    /// How many events they are of.
    pub(crate) fn distinct(&self) -> u64 {
        self.0.iter().map(|moment| moment.number).collect::<HashSet<_>>().len() as u64
    }

    /// Reads a file of them.
    ///
    /// # Errors
    /// Where it cannot be read, or has no whole number of them.
    pub(crate) fn read(file: &Path) -> Result<Self> {
        let bytes = std::fs::read(file)?;
        ensure!(bytes.len().is_multiple_of(MOMENT_BYTES), "{} ends within a moment", file.display());
        let number = |bytes: &[u8]| bytes.iter().rev().fold(0, |number, &byte| number << 8 | u64::from(byte));
        let moment =
            |bytes: &[u8]| Moment { number: number(&bytes[..8]), at_us: number(&bytes[8..16]), took_ns: number(&bytes[16..]) };
        Ok(Self(bytes.chunks_exact(MOMENT_BYTES).map(moment).collect()))
    }

    /// Writes a file of them.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub(crate) fn write(&self, file: &Path) -> Result<()> {
        let numbers = self.0.iter().flat_map(|moment| [moment.number, moment.at_us, moment.took_ns]);
        Ok(std::fs::write(file, numbers.flat_map(u64::to_le_bytes).collect::<Vec<u8>>())?)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Moments;

    #[test]
    fn a_file_gives_back_what_was_written() {
        let mut moments = Moments::default();
        [7, u64::MAX, 7].into_iter().for_each(|number| moments.add(number, Duration::from_nanos(number)));
        let file = std::env::temp_dir().join(format!("factum-bench-moments-{}", std::process::id()));
        moments.write(&file).unwrap();
        let read = Moments::read(&file);
        std::fs::remove_file(&file).unwrap();
        assert_eq!((moments.count(), moments.distinct()), (3, 2));
        assert_eq!(read.unwrap(), moments);
    }
}
