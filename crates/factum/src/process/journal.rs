//! The journal of a process: a system stream of what is to outlive its program, beside its own events.

use super::failed::Failed;
use super::quarantine::{Hold, Holds};
use super::timers::{IndexedTimer, Timers};
use crate::{
    AnyStore, ConsumerName, Event, NameError, NewEvent, Position, Query, Read, RecordedEvent, Store, StreamName, Version,
};

/// In an instance's stream: one of its timers went off. The events that this led to come after it.
#[derive(Debug, Clone, PartialEq, Event)]
#[event(name = "$TimerFired")]
pub(crate) struct TimerFired {
    /// The timer's name.
    pub(crate) timer: String,
    /// The id of the effect that set it.
    pub(crate) timer_id: String,
    /// When it was to go off.
    pub(crate) due: String,
}

/// What is in the journal.
#[derive(Debug, Clone, PartialEq, Event)]
#[event(prefix = "$Process")]
pub(crate) enum Entry {
    /// Inputs of a stream, or for one, wait.
    Held {
        held: String,
        /// All of them up to here were handled.
        through: u64,
        /// The one that failed; 0 where it was none of them.
        failed: u64,
        error: String,
    },
    /// Somebody asks for them to be handled.
    Released {
        held: String,
        /// But not the one that failed.
        skip: bool,
    },
    /// Some of them were handled.
    Advanced { held: String, through: u64 },
    /// None of them wait any more.
    Closed { held: String },
    /// All that is known of timers up to a position, and what is held then: reading begins at the last one.
    Checkpoint {
        /// Which of several entries it is, counted from 1; they stand next to each other.
        part: u32,
        parts: u32,
        through: u64,
        timers: Vec<IndexedTimer>,
        /// In the last part.
        holds: Vec<Hold>,
    },
}

/// Where things of a process are kept.
#[derive(Debug, Clone)]
pub(crate) struct Names {
    pub(crate) journal: StreamName,
    pub(crate) consumer: ConsumerName,
}

impl Names {
    pub(crate) fn of(category: &str) -> Result<Self, NameError> {
        let name = format!("$process-{category}");
        Ok(Self { journal: StreamName::new(name.clone())?, consumer: ConsumerName::new(name)? })
    }
}

/// What the journal adds up to.
#[derive(Debug, Default)]
pub(crate) struct Journal {
    pub(crate) version: Version,
    pub(crate) holds: Holds,
    /// The timers at its last checkpoint, of own events through this position.
    pub(crate) timers: Timers,
    pub(crate) timers_through: Position,
    /// How many entries came after that.
    pub(crate) since: usize,
}

impl Journal {
    /// Reads a journal back to its last checkpoint, and no further.
    pub(crate) async fn read(store: &AnyStore, stream: &StreamName) -> Result<Self, Failed> {
        let mut journal = Self::default();
        let mut tail = Vec::new();
        let mut read = Some(Read::new(Query::stream(stream.clone())).backward().limit(PAGE));
        while let Some(next) = read.take() {
            let page = store.read(next.clone()).await?;
            read = page.rest.map(|rest| next.range(rest));
            for event in page.events {
                tail.push(event);
                if let Some(parts) = journal.restore(&tail)? {
                    tail.truncate(tail.len() - parts);
                    read = None;
                    break;
                }
            }
        }
        tail.iter().rev().try_for_each(|event| journal.apply(event))?;
        Ok(journal)
    }

    /// Goes by a checkpoint that begins with the last of these entries, of which the newest comes first: how many it consists
    /// of; `None` where there is none, or one that was left unfinished.
    fn restore(&mut self, newest_first: &[RecordedEvent]) -> Result<Option<usize>, Failed> {
        let mut timers = Vec::new();
        let entries = newest_first.iter().rev().map(|event| event.decode::<Entry>().map_err(Failed::here));
        for (entry, expected) in entries.zip(1..) {
            match entry? {
                Some(Entry::Checkpoint { part, parts, through, timers: some, holds }) if part == expected => {
                    timers.extend(some);
                    if part == parts {
                        self.version = newest_first[newest_first.len() - parts as usize].version;
                        self.timers_through = Position::new(through);
                        self.timers = Timers::of(timers)?;
                        self.holds = Holds::of(holds)?;
                        return Ok(Some(parts as usize));
                    }
                }
                _ => break,
            }
        }
        Ok(None)
    }

    /// Takes in the next entry; one that it has already changes nothing.
    pub(crate) fn apply(&mut self, event: &RecordedEvent) -> Result<(), Failed> {
        if event.version <= self.version {
            return Ok(());
        }
        self.version = event.version;
        self.since += 1;
        match event.decode().map_err(Failed::here)? {
            Some(entry) => self.holds.apply(&entry, event.recorded_at),
            None => Ok(()),
        }
    }

    /// The entries of a checkpoint.
    pub(crate) fn checkpoint(&self, timers: &Timers, through: Position) -> Vec<Entry> {
        let all: Vec<IndexedTimer> = timers.list().collect();
        let mut chunks: Vec<&[IndexedTimer]> = all.chunks(CHECKPOINT_TIMERS).collect();
        if chunks.is_empty() {
            chunks.push(&[]);
        }
        let parts = chunks.len();
        let entry = |(part, timers): (usize, &[IndexedTimer])| Entry::Checkpoint {
            part: part as u32,
            parts: parts as u32,
            through: through.get(),
            timers: timers.to_vec(),
            holds: if part == parts { self.holds.list() } else { Vec::new() },
        };
        (1..).zip(chunks).map(entry).collect()
    }
}

impl Entry {
    /// The event to append.
    pub(crate) fn event(&self, journal: &StreamName) -> Result<NewEvent, Failed> {
        let event = NewEvent::new(journal.clone(), self.shape().event_type, self.encode().map_err(Failed::here)?);
        event.map_err(Failed::here)
    }
}

/// Entries read at a time.
const PAGE: usize = 100;
/// Timers in an entry of a checkpoint.
const CHECKPOINT_TIMERS: usize = 1_000;
