//! Waiting until a read model has what was written: read your own writes.

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

/// Resolves when everything up to a position is in the live read model of a projection.
pub(crate) async fn wait<D: ReadDb>(
    db: &D,
    projection: &str,
    position: Position,
    timeout: Duration,
    mut progress: Option<watch::Receiver<Status>>,
) -> Result<(), WaitError> {
    let deadline = Instant::now() + timeout;
    let mut pause = LOOK.0;
    loop {
        if let Some(progress) = &mut progress {
            progress.mark_unchanged();
        }
        let mut reached = Position::START;
        if let Some(model) = live_model(db, projection).await? {
            // Where there is none just now, it has been dropped in between.
            if let Some(record) = Held::<ModelRecord>::committed(db, &model.model_key()).await? {
                reached = checkpoint(db, &model, record.value.partitions).await?.unwrap_or_default();
                if position <= reached {
                    return Ok(());
                }
                if let Some(failure) = failure_before(db, &model, record.value.partitions, position).await? {
                    return Err(WaitError::Stopped { model, failure });
                }
            }
        }
        if deadline <= Instant::now() {
            return Err(WaitError::Timeout { projection: projection.to_owned(), position, reached });
        }
        let look = deadline.min(Instant::now() + pause);
        match &mut progress {
            // What a runner in this process does is told; what one elsewhere does has to be looked for.
            Some(progress) if progress.has_changed().is_ok() => drop(tokio::time::timeout_at(look, progress.changed()).await),
            _ => tokio::time::sleep_until(look).await,
        }
        pause = (pause * 2).min(LOOK.1);
    }
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
