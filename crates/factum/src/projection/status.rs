//! The status of a runner: how far each partition is, and what holds it.

use std::time::Duration;

use super::records::Failure;
use crate::{Position, ReadModelName, Timestamp};

/// What a runner does just now, in this process.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Status {
    /// A part for each partition of each read model that it fills.
    pub partitions: Vec<PartitionStatus>,
    /// What keeps it from looking after its read models, such as a rebuild whose tables cannot be made; it is tried again.
    pub error: Option<String>,
}

/// How far a partition is.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct PartitionStatus {
    /// Of which read model.
    pub model: ReadModelName,
    /// Which one, counted from 0.
    pub partition: u32,
    /// What it does.
    pub activity: Activity,
    /// Everything up to here is in the tables, or parked.
    pub checkpoint: Position,
    /// The head of the store, when it was last seen.
    pub head: Position,
    /// When the oldest event that was not yet handled was recorded; `None` where there was none.
    pub waiting_since: Option<Timestamp>,
    /// How many events were handled, by all who ever filled it.
    pub events: u64,
    /// How many a second were handled lately.
    pub events_per_second: f64,
}

/// What a partition does.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Activity {
    /// Another process holds its lease.
    Standby,
    /// It is behind, and applies a batch at a time.
    CatchingUp,
    /// It is at the head, and applies each event as it comes.
    Following,
    /// It waits to be resumed.
    Paused,
    /// An event failed; it is tried again.
    Retrying(Failure),
    /// An event failed, and it waits to be resumed.
    Stopped(Failure),
    /// The database or the store failed, as this says; it is tried again.
    Unavailable(String),
}

impl PartitionStatus {
    /// What is known of a partition that nothing was heard of yet.
    pub(crate) fn of(model: ReadModelName, partition: u32) -> Self {
        Self {
            model,
            partition,
            activity: Activity::Standby,
            checkpoint: Position::START,
            head: Position::START,
            waiting_since: None,
            events: 0,
            events_per_second: 0.0,
        }
    }

    /// How many positions lie between its checkpoint and the head.
    pub fn lag_events(&self) -> u64 {
        self.head.get().saturating_sub(self.checkpoint.get())
    }

    /// The age of the oldest event that it has not handled.
    pub fn lag(&self, now: Timestamp) -> Duration {
        let micros = self.waiting_since.map_or(0, |since| now.as_micros().saturating_sub(since.as_micros()));
        Duration::from_micros(micros.try_into().unwrap_or_default())
    }
}

impl Status {
    /// The events between the head and the partition that is furthest behind.
    pub fn lag_events(&self) -> u64 {
        self.partitions.iter().map(PartitionStatus::lag_events).max().unwrap_or_default()
    }

    /// The first failure that stopped a partition.
    pub fn failure(&self) -> Option<&Failure> {
        self.partitions.iter().find_map(|partition| match &partition.activity {
            Activity::Stopped(failure) => Some(failure),
            _ => None,
        })
    }

    /// Writes a partition's part.
    pub(crate) fn set(&mut self, status: PartitionStatus) {
        let same = |old: &&mut PartitionStatus| old.model == status.model && old.partition == status.partition;
        match self.partitions.iter_mut().find(same) {
            Some(old) => *old = status,
            None => self.partitions.push(status),
        }
    }

    pub(crate) fn remove(&mut self, model: &ReadModelName, partition: u32) {
        self.partitions.retain(|status| status.model != *model || status.partition != partition);
    }
}
