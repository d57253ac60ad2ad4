//! Quarantine: inputs that wait behind one that failed, while all others go on.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::failed::Failed;
use super::journal::{Entry, Journal, Names};
use crate::{Append, AppendError, Log, NameError, Position, StoreError, StoreErrorKind, StreamName, Timestamp};

/// What of a process is held back: see [`RunningProcess::quarantine`](super::RunningProcess::quarantine) and [`Log::quarantine`].
#[derive(Debug, Clone)]
pub struct Quarantine {
    log: Log,
    names: Names,
}

/// An instance whose inputs wait, in order, behind one that failed.
///
/// An input that cannot be read says of no instance that it concerns it: then what wait are all inputs of its own stream.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Quarantined {
    /// The stream of the instance, or that of the inputs.
    pub stream: StreamName,
    /// The input that failed, or the first that waits; `None` where it was a timer or an own event.
    pub failed: Option<Position>,
    /// Why.
    pub error: String,
    /// When that was recorded.
    pub since: Timestamp,
    /// Whether it is to be tried again; it still is held while the inputs that wait are handled.
    pub released: bool,
}

/// Why nothing is released.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum QuarantineError {
    /// It is not held.
    #[error("{stream} is not in quarantine: list what is")]
    NotHeld {
        /// What was asked for.
        stream: StreamName,
    },
    /// The category makes no name.
    #[error(transparent)]
    Name(#[from] NameError),
    /// The journal of the process cannot be read, or not be written.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Log {
    /// The quarantine of the process whose instances are in this category; the process need not run here.
    ///
    /// # Errors
    /// [`NameError`] where the category makes no name.
    pub fn quarantine(&self, category: &str) -> Result<Quarantine, NameError> {
        Ok(Quarantine { log: self.clone(), names: Names::of(category)? })
    }
}

impl Quarantine {
    /// What is in it.
    ///
    /// # Errors
    /// [`QuarantineError`] where the journal cannot be read.
    pub async fn list(&self) -> Result<Vec<Quarantined>, QuarantineError> {
        let holds = Journal::read(self.log.store(), &self.names.journal).await.map_err(of_failed)?.holds;
        Ok(holds.quarantined())
    }

    /// Lets it go: the input that failed is handled again, and then those that waited.
    ///
    /// # Errors
    /// [`QuarantineError`] where it is not held, or the store fails.
    pub async fn release(&self, stream: &StreamName) -> Result<(), QuarantineError> {
        self.ask(stream, false).await
    }

    /// Lets it go without the input that failed: those that waited behind it are handled.
    ///
    /// # Errors
    /// As [`release`](Self::release).
    pub async fn skip(&self, stream: &StreamName) -> Result<(), QuarantineError> {
        self.ask(stream, true).await
    }

    async fn ask(&self, stream: &StreamName, skip: bool) -> Result<(), QuarantineError> {
        if !self.list().await?.iter().any(|held| held.stream == *stream) {
            return Err(QuarantineError::NotHeld { stream: stream.clone() });
        }
        let entry = Entry::Released { held: stream.to_string(), skip };
        let append = Append::new(vec![entry.event(&self.names.journal).map_err(of_failed)?]);
        match self.log.append(append).await {
            Ok(_) => Ok(()),
            Err(AppendError::Store(error)) => Err(error.into()),
            Err(refused) => Err(StoreError::new(StoreErrorKind::Invalid, refused.to_string()).into()),
        }
    }
}

fn of_failed(failed: Failed) -> StoreError {
    match failed {
        Failed::Store(error) => error,
        Failed::Here(error) => StoreError::new(StoreErrorKind::Corrupt, format!("the process's journal is unreadable: {error}")),
    }
}

/// What is held, by stream.
#[derive(Debug, Default)]
pub(crate) struct Holds(BTreeMap<StreamName, Hold>);

/// Inputs that wait.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Hold {
    held: String,
    /// All up to here were handled.
    pub(crate) through: u64,
    failed: u64,
    error: String,
    since_micros: i64,
    pub(crate) released: bool,
    /// Whether none waits any more: known to this program, and soon to the journal.
    #[serde(skip)]
    pub(crate) caught_up: bool,
}

impl Holds {
    pub(crate) fn of(list: Vec<Hold>) -> Result<Self, Failed> {
        let named = list.into_iter().map(|hold| Ok((name(&hold.held)?, hold)));
        Ok(Self(named.collect::<Result<_, Failed>>()?))
    }

    pub(crate) fn list(&self) -> Vec<Hold> {
        self.0.values().cloned().collect()
    }

    pub(crate) fn quarantined(&self) -> Vec<Quarantined> {
        let quarantined = |(stream, hold): (&StreamName, &Hold)| Quarantined {
            stream: stream.clone(),
            failed: (0 < hold.failed).then(|| Position::new(hold.failed)),
            error: hold.error.clone(),
            since: Timestamp::from_micros(hold.since_micros),
            released: hold.released,
        };
        self.0.iter().map(quarantined).collect()
    }

    pub(crate) fn apply(&mut self, entry: &Entry, recorded_at: Timestamp) -> Result<(), Failed> {
        match entry {
            Entry::Held { held, through, failed, error } => {
                let (held, error, since_micros) = (held.clone(), error.clone(), recorded_at.as_micros());
                let hold =
                    Hold { through: *through, failed: *failed, error, since_micros, released: false, caught_up: false, held };
                self.0.insert(name(&hold.held)?, hold);
            }
            Entry::Released { held, skip } => {
                if let Some(hold) = self.0.get_mut(&name(held)?) {
                    hold.released = true;
                    hold.through = if *skip { hold.through.max(hold.failed) } else { hold.through };
                }
            }
            Entry::Advanced { held, through } => {
                if let Some(hold) = self.0.get_mut(&name(held)?) {
                    hold.through = *through;
                }
            }
            Entry::Closed { held } => drop(self.0.remove(&name(held)?)),
            Entry::Checkpoint { .. } => {}
        }
        Ok(())
    }

    pub(crate) fn get(&self, stream: &StreamName) -> Option<&Hold> {
        self.0.get(stream)
    }

    /// Whether inputs of this stream, or for it, wait.
    pub(crate) fn waits(&self, stream: &StreamName) -> bool {
        self.0.get(stream).is_some_and(|hold| !hold.caught_up)
    }

    pub(crate) fn caught_up(&mut self, stream: &StreamName) {
        if let Some(hold) = self.0.get_mut(stream) {
            hold.caught_up = true;
        }
    }

    pub(crate) fn streams(&self, which: impl Fn(&Hold) -> bool) -> Vec<StreamName> {
        self.0.iter().filter(|(_, hold)| which(hold)).map(|(stream, _)| stream.clone()).collect()
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}

fn name(text: &str) -> Result<StreamName, Failed> {
    StreamName::new(text.to_owned()).map_err(Failed::here)
}
