//! Waiting until a read model has what was written: read your own writes.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::records::{Failure, Held, ModelRecord, PartitionRecord, all};
use super::register::live_model;
use super::status::Status;
use crate::{Position, ReadDb, ReadModelName, StoreError};

/// Why a read model does not have what was waited for.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WaitError {
    /// It takes longer: wait again, or answer with what is there.
    #[error("{projection} has reached {reached}, and {position} was waited for")]
    Timeout {
        /// The projection.
        projection: String,
        /// What was waited for.
        position: Position,
        /// Everything up to here is there.
        reached: Position,
    },
    /// A partition has stopped in front of it.
    #[error("{model} has stopped at {}: {}", failure.position, failure.error)]
    Stopped {
        /// The read model.
        model: ReadModelName,
        /// Why.
        failure: Failure,
    },
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The longest and the shortest wait before looking again, where nothing tells of progress.
const LOOK: (Duration, Duration) = (Duration::from_millis(2), Duration::from_millis(50));

/// A runner in this process, which tells how far it is.
#[derive(Clone)]
pub(crate) struct Progress {
    pub(crate) status: watch::Receiver<Status>,
    /// How many partitions each of its read models has.
    pub(crate) partitions: u32,
}

impl Progress {
    /// The read models that have everything up to a position, as far as it is told.
    fn reached(&mut self, position: Position) -> Vec<ReadModelName> {
        let mut behind: BTreeMap<ReadModelName, u32> = BTreeMap::new();
        for partition in &self.status.borrow_and_update().partitions {
            let left = behind.entry(partition.model.clone()).or_insert(self.partitions);
            *left = left.saturating_sub(u32::from(position <= partition.checkpoint));
        }
        behind.into_iter().filter(|(_, left)| *left == 0).map(|(model, _)| model).collect()
    }
}

/// Resolves when everything up to a position is in the live read model of a projection.
pub(crate) async fn wait<D: ReadDb>(
    db: &D,
    projection: &str,
    position: Position,
    timeout: Duration,
    mut progress: Option<Progress>,
) -> Result<(), WaitError> {
    let deadline = Instant::now() + timeout;
    let (mut pause, mut look_at) = (LOOK.0, Instant::now());
    if progress.is_some() {
        // What it does is told; what one elsewhere does has to be looked for.
        look_at += pause;
    }
    loop {
        if let Some(progress) = &mut progress {
            let reached = progress.reached(position);
            if !reached.is_empty() && live_model(db, projection).await?.is_some_and(|live| reached.contains(&live)) {
                return Ok(());
            }
        }
        if look_at.min(deadline) <= Instant::now() {
            match look(db, projection, position).await? {
                reached if position <= reached => return Ok(()),
                reached if deadline <= Instant::now() => {
                    return Err(WaitError::Timeout { projection: projection.to_owned(), position, reached });
                }
                _ => {}
            }
            pause = (pause * 2).min(LOOK.1);
            look_at = Instant::now() + pause;
        }
        let next = look_at.min(deadline);
        match &mut progress {
            Some(progress) if progress.status.has_changed().is_ok() => {
                drop(tokio::time::timeout_at(next, progress.status.changed()).await);
            }
            _ => tokio::time::sleep_until(next).await,
        }
    }
}

/// How far the live read model is, as the database has it; unless it has stopped in front of a position.
async fn look<D: ReadDb>(db: &D, projection: &str, position: Position) -> Result<Position, WaitError> {
    let Some(model) = live_model(db, projection).await? else { return Ok(Position::START) };
    // Where there is none just now, it has been dropped in between.
    let Some(record) = Held::<ModelRecord>::committed(db, &model.model_key()).await? else { return Ok(Position::START) };
    let reached = checkpoint(db, &model, record.value.partitions).await?.unwrap_or_default();
    if reached < position
        && let Some(failure) = failure_before(db, &model, record.value.partitions, position).await?
    {
        return Err(WaitError::Stopped { model, failure });
    }
    Ok(reached)
}

/// Everything up to here is in all partitions of a read model; `None` where there is none.
pub(crate) async fn checkpoint<D: ReadDb>(
    db: &D,
    model: &ReadModelName,
    partitions: u32,
) -> Result<Option<Position>, StoreError> {
    let mut least = None;
    for record in all(db, &format!("{model}/partition/")).await? {
        let checkpoint = Held::<PartitionRecord>::of(record)?.value.checkpoint();
        least = Some(least.map_or(checkpoint, |least: Position| least.min(checkpoint)));
    }
    Ok(least.filter(|_| 0 < partitions))
}

async fn failure_before<D: ReadDb>(
    db: &D,
    model: &ReadModelName,
    partitions: u32,
    position: Position,
) -> Result<Option<Failure>, StoreError> {
    for partition in 0..partitions {
        let failure = Held::<Failure>::committed(db, &model.failure_key(partition)).await?;
        if let Some(failure) = failure.filter(|failure| failure.value.position <= position) {
            return Ok(Some(failure.value));
        }
    }
    Ok(None)
}
