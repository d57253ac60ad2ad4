//! The timers of a process: what is set, and when it is due. They are events of a system stream, so a restart keeps them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    Append, AppendError, Direction, EventId, EventType, Expected, Log, NameError, NewEvent, Payload, Query, Read, RecordedEvent,
    Scope, Selector, StoreError, StreamName, Timestamp, Version, Versions,
};

/// What happens to timers; stored as JSON.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) enum TimerEvent {
    Set {
        stream: String,
        timer: String,
        due: i64,
    },
    Cancelled {
        stream: String,
        timer: String,
    },
    Fired {
        stream: String,
        timer: String,
        due: i64,
    },
    /// All that are set: nothing before it needs to be read.
    Kept {
        timers: Vec<(String, String, i64)>,
    },
}

impl TimerEvent {
    fn event_type(&self) -> &'static str {
        match self {
            Self::Set { .. } => "$TimerSet",
            Self::Cancelled { .. } => "$TimerCancelled",
            Self::Fired { .. } => "$TimerFired",
            Self::Kept { .. } => KEPT,
        }
    }

    /// The event, to be recorded in the stream of a process's timers.
    pub(crate) fn to_new_event(&self, timers: &StreamName, id: EventId) -> Result<NewEvent, NameError> {
        let data = serde_json::to_vec(self).expect("texts and numbers are JSON");
        let event = NewEvent::new(timers.clone(), self.event_type(), Payload::json(data))?;
        Ok(NewEvent { id, ..event })
    }
}

const KEPT: &str = "$TimersKept";

/// After so many events of timers, all that are set are written down, so that a start reads no more than that.
const KEEP_EVERY: u64 = 1_000;
/// The most timers that are written down at once; where more are set, a start reads further back.
const KEEP_MAX: usize = 20_000;

/// The timers that are set.
#[derive(Debug, Clone)]
pub(crate) struct Timers {
    pub(crate) stream: StreamName,
    version: Version,
    kept_at: Version,
    /// By stream and name.
    set: BTreeMap<(String, String), Timestamp>,
}

/// A timer that is set.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Timer {
    pub(crate) due: Timestamp,
    pub(crate) stream: String,
    pub(crate) name: String,
}

impl Timers {
    /// The timers of a process, as they are now.
    pub(crate) async fn load(log: &Log, stream: StreamName) -> Result<Self, StoreError> {
        let mut timers = Self { stream, version: Version::EMPTY, kept_at: Version::EMPTY, set: BTreeMap::new() };
        let kept = Selector::stream(timers.stream.clone()).event_type(EventType::new(KEPT).expect("it is a name"));
        let last = Read { direction: Direction::Backward, ..Read::new(kept.into()).limit(1) };
        let mut pages = log.read(last);
        while let Some(page) = pages.next().await? {
            if let Some(kept) = page.events.first() {
                timers.apply(kept);
                break;
            }
        }
        timers.read_on(log).await?;
        Ok(timers)
    }

    /// Takes in what has happened since.
    pub(crate) async fn read_on(&mut self, log: &Log) -> Result<(), StoreError> {
        let versions = Versions { after: self.version, through: Version::MAX };
        let mut pages = log.read(Read::new(Query::from(Selector::from(Scope::Stream(self.stream.clone(), versions)))));
        while let Some(page) = pages.next().await? {
            page.events.iter().for_each(|event| self.apply(event));
        }
        Ok(())
    }

    fn apply(&mut self, event: &RecordedEvent) {
        self.version = event.version;
        match serde_json::from_slice(&event.payload.data) {
            Ok(TimerEvent::Set { stream, timer, due }) => {
                self.set.insert((stream, timer), Timestamp::from_micros(due));
            }
            Ok(TimerEvent::Cancelled { stream, timer }) => drop(self.set.remove(&(stream, timer))),
            Ok(TimerEvent::Fired { stream, timer, due }) => {
                // One that was set anew since is another.
                let key = (stream, timer);
                if self.set.get(&key) == Some(&Timestamp::from_micros(due)) {
                    self.set.remove(&key);
                }
            }
            Ok(TimerEvent::Kept { timers }) => {
                let timers = timers.into_iter().map(|(stream, name, due)| ((stream, name), Timestamp::from_micros(due)));
                self.set = timers.collect();
                self.kept_at = event.version;
            }
            Err(_unknown) => {}
        }
    }

    /// How many are set.
    pub(crate) fn len(&self) -> usize {
        self.set.len()
    }

    /// Those that are due, the earliest first.
    pub(crate) fn due(&self, now: Timestamp) -> Vec<Timer> {
        let due = self.set.iter().filter(|(_, due)| **due <= now);
        let mut due: Vec<_> =
            due.map(|((stream, name), due)| Timer { due: *due, stream: stream.clone(), name: name.clone() }).collect();
        due.sort_unstable();
        due
    }

    /// Whether the timer is set still, and for that time.
    pub(crate) fn is_set(&self, timer: &Timer) -> bool {
        self.set.get(&(timer.stream.clone(), timer.name.clone())) == Some(&timer.due)
    }

    /// Writes down all that are set, now and then.
    pub(crate) async fn keep(&mut self, log: &Log) -> Result<(), StoreError> {
        if self.version.get() < self.kept_at.get() + KEEP_EVERY || KEEP_MAX < self.set.len() {
            return Ok(());
        }
        let timers = self.set.iter().map(|((stream, name), due)| (stream.clone(), name.clone(), due.as_micros())).collect();
        let Ok(kept) = (TimerEvent::Kept { timers }).to_new_event(&self.stream, EventId::new()) else { return Ok(()) };
        let append = Append::new(vec![kept]).expect(self.stream.clone(), Expected::Exact(self.version));
        match log.append(append).await {
            Err(AppendError::Store(error)) => Err(error),
            // Another was faster, or something has happened since: the next time will do.
            _ => Ok(()),
        }
    }
}
