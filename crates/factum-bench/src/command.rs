//! What the measuring process tells the process of one system, and what that answers: a line of JSON each.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::stats::Latencies;
use crate::workload::LongStream;

/// What to do.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum Command {
    /// Let writers append for this many seconds; the first time decides how many there are, of how many events an append.
    Append { writers: usize, events: usize, seconds: f64 },
    /// Load a data set of this many events.
    Load { events: u64 },
    /// Read every event.
    ReadAll,
    /// Read and check the files in a folder whose names end like this.
    ReadFiles { folder: PathBuf, ending: String },
    /// Read random long streams of a data set, one after the other, for this many seconds.
    ReadStreams { events: u64, kind: LongStream, seconds: f64, seed: u64 },
    /// Read two random tags of a data set, again and again, for this many seconds.
    ReadTagged { events: u64, seconds: f64, seed: u64 },
    /// The same, each followed by an append on condition that nothing was missed.
    Decide { events: u64, seconds: f64, seed: u64 },
    /// How much memory the process has.
    Memory,
    /// Project everything that was loaded into a new table.
    CatchUp,
    /// Let writers record deposits for this many seconds while a projection follows, then wait for it. Where an account is not
    /// a stream of its own, all are in this many.
    Live { writers: u64, seconds: f64, streams: u64 },
    /// Record a deposit and wait until a reader of the table sees it, one after the other, for this many seconds.
    Show { seconds: f64 },
    /// Follow the log from its beginning, until the process ends.
    Follow,
    /// Let writers append to streams of their own for some seconds, and write down when what was acknowledged.
    Write(Write),
    /// Wait until this many events, each counted once, came to the follower, or no more come; write down when which one came.
    Followed { events: u64, moments: PathBuf },
    /// Close the system, then end.
    Close,
}

/// What writers do.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Write {
    /// The number of the first one: they are numbered one after the other.
    pub first: u64,
    /// How many there are.
    pub writers: u64,
    /// How many events they append at a time.
    pub events: u64,
    /// For how long.
    pub seconds: f64,
    /// Where the moments of what was acknowledged go.
    pub moments: PathBuf,
}

/// The answer.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum Reply {
    /// What was measured; on opening too.
    Sample(Sample),
    /// The memory of the process.
    Memory(Memory),
    /// It did not work.
    Failed(String),
}

/// A measurement.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub(crate) struct Sample {
    /// How many calls there were.
    pub calls: u64,
    /// How many events they appended or returned.
    pub events: u64,
    /// How many bytes they read.
    pub bytes: u64,
    /// How long all of them took.
    pub seconds: f64,
    /// Half of them took at most this, in microseconds.
    pub p50_us: f64,
    /// All but one in a hundred took at most this, in microseconds.
    pub p99_us: f64,
    /// The most memory of the process that no file backs, while it loaded, in KiB; 0 otherwise.
    pub anonymous_kib: u64,
    /// How many recorded events never came to a table that they are projected into.
    pub missed: u64,
    /// How many of them are in it more than once.
    #[serde(default)]
    pub doubled: u64,
    /// How many appends the system refused though nobody else wrote to their streams, so that they were tried again.
    #[serde(default)]
    pub refused: u64,
}

impl Sample {
    /// Of calls that took these times.
    pub(crate) fn new(calls: u64, took: Duration, latencies: &mut Latencies) -> Self {
        let [p50_us, p99_us] = [0.5, 0.99].map(|part| latencies.percentile(part));
        // JSON has no NaN, which is what the percentile of no call is.
        let [p50_us, p99_us] = [p50_us, p99_us].map(|micros| if micros.is_nan() { 0.0 } else { micros });
        Self { calls, seconds: took.as_secs_f64(), p50_us, p99_us, ..Self::default() }
    }

    /// Of one call.
    pub(crate) fn once(took: Duration) -> Self {
        let mut latencies = Latencies::default();
        latencies.add(took);
        Self::new(1, took, &mut latencies)
    }

    /// Calls a second.
    pub(crate) fn rate(&self) -> f64 {
        self.calls as f64 / self.seconds
    }

    /// Events a second.
    pub(crate) fn event_rate(&self) -> f64 {
        self.events as f64 / self.seconds
    }
}

/// The memory of a process, in KiB.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub(crate) struct Memory {
    /// The most that was resident at any time, mapped files included.
    pub peak: u64,
    /// What no file backs, now.
    pub anonymous: u64,
}

impl Memory {
    /// The memory of this process.
    ///
    /// # Errors
    /// Where `/proc` does not tell.
    pub(crate) fn now() -> anyhow::Result<Self> {
        let status = std::fs::read_to_string("/proc/self/status")?;
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            line.split_whitespace().next()?.parse().ok()
        };
        let missing = || anyhow::anyhow!("/proc/self/status does not tell the memory of this process: run it on Linux");
        Ok(Self { peak: field("VmHWM:").ok_or_else(missing)?, anonymous: field("RssAnon:").ok_or_else(missing)? })
    }
}
