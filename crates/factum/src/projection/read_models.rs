//! Read models, looked at and controlled from anywhere: without the code that fills them.

use std::time::Duration;

use tokio::time::Instant;

use super::records::{
    Failure, Held, LeaseRecord, ModelRecord, ParkedEvent, PartitionRecord, Phase, Request, RequestRecord, all, live, put,
};
use super::register::{clear_failures, live_model, models};
use super::wait::{self, Progress, WaitError};
use super::worker::POLL;
use crate::{Position, ReadDb, ReadModelName, StoreError, StreamName, partition};

/// The read models of a database.
#[derive(Debug, Clone)]
pub struct ReadModels<D> {
    db: D,
}

/// A read model, as its records tell.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct ReadModel {
    /// Its name.
    pub name: ReadModelName,
    /// Where it stands in its life.
    pub phase: Phase,
    /// Whether it waits to be resumed.
    pub paused: bool,
    /// The most events a second in each partition; no limit where there is none.
    pub events_per_second: Option<u32>,
    /// Its partitions, in their order.
    pub partitions: Vec<Partition>,
    /// How many events are parked.
    pub parked: u64,
}

/// A partition of a read model.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Partition {
    /// Everything up to here is in the tables, or parked.
    pub checkpoint: Position,
    /// How many events were handled.
    pub events: u64,
    /// Who fills it, and for how long still.
    pub lease: Option<(String, Duration)>,
    /// Why it stopped, if it did.
    pub failure: Option<Failure>,
}

impl ReadModel {
    /// Everything up to here is in all of its partitions.
    pub fn checkpoint(&self) -> Position {
        self.partitions.iter().map(|partition| partition.checkpoint).min().unwrap_or_default()
    }
}

/// Why something is not done with a read model.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ControlError {
    /// There is none of that name.
    #[error("there is no read model {0}: list them")]
    NotFound(String),
    /// There is no such parked event.
    #[error("no event at {position} is parked in {model}")]
    NotParked {
        /// The read model.
        model: ReadModelName,
        /// Where the event would be.
        position: Position,
    },
    /// It is the live one, which nothing takes the place of.
    #[error("{0} is live: dropping it would take its tables away from those who query them")]
    Live(ReadModelName),
    /// Nobody fills it just now, so nobody does it: start its program, and it will be done.
    #[error("nobody who fills {0} has done it within {1:?}: it is done when its program runs")]
    NotDone(ReadModelName, Duration),
    /// The one who fills it says no.
    #[error("{0}")]
    Refused(String),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl<D: ReadDb> ReadModels<D> {
    /// Those of this database.
    pub fn new(db: D) -> Self {
        Self { db }
    }

    /// All of them, by name.
    ///
    /// # Errors
    /// [`StoreError`] where the database cannot be read.
    pub async fn list(&self) -> Result<Vec<ReadModel>, StoreError> {
        let mut list = Vec::new();
        for (name, model) in models(&self.db, "").await? {
            list.push(self.read(name, model).await?);
        }
        Ok(list)
    }

    /// One of them.
    ///
    /// # Errors
    /// [`ControlError`] where there is none, or the database cannot be read.
    pub async fn get(&self, name: &ReadModelName) -> Result<ReadModel, ControlError> {
        let model = self.model(name).await?.value;
        Ok(self.read(name.clone(), model).await?)
    }

    /// The one that a projection's queries see; `None` where there is none.
    ///
    /// # Errors
    /// [`StoreError`] where the database cannot be read.
    pub async fn live(&self, projection: &str) -> Result<Option<ReadModelName>, StoreError> {
        live_model(&self.db, projection).await
    }

    /// Lets it wait, until it is resumed. Whoever fills it sees that within a moment.
    ///
    /// # Errors
    /// [`ControlError`] where there is none, or the database fails.
    pub async fn pause(&self, name: &ReadModelName) -> Result<(), ControlError> {
        self.change(name, |model| model.paused = true).await
    }

    /// Lets it go on, after a pause or a failure.
    ///
    /// # Errors
    /// As [`ReadModels::pause`].
    pub async fn resume(&self, name: &ReadModelName) -> Result<(), ControlError> {
        let partitions = self.model(name).await?.value.partitions;
        self.change(name, |model| model.paused = false).await?;
        Ok(clear_failures(&self.db, name, partitions).await?)
    }

    /// Lets each of its partitions handle so many events a second at most; as many as it can where that is `None`.
    ///
    /// # Errors
    /// As [`ReadModels::pause`].
    pub async fn throttle(&self, name: &ReadModelName, events_per_second: Option<u32>) -> Result<(), ControlError> {
        self.change(name, |model| model.events_per_second = events_per_second).await
    }

    /// Has it made again, beside itself: the name that it will have. It is done by whoever fills it.
    ///
    /// # Errors
    /// As [`ReadModels::pause`].
    pub async fn rebuild(&self, name: &ReadModelName) -> Result<ReadModelName, ControlError> {
        self.model(name).await?;
        let same_version = |model: &ReadModelName| model.version() == name.version();
        let models = models(&self.db, name.projection()).await?;
        let last = models.into_iter().map(|(name, _)| name).filter(same_version).max().unwrap_or_else(|| name.clone());
        let next = last.next_run();
        let mut tx = self.db.begin(name).await?;
        put(&self.db, &mut tx, &name.rebuild_key(), Some(&next.to_string())).await?;
        self.db.commit(tx).await?;
        Ok(next)
    }

    /// Drops it, tables and all: one that is filled, which is thereby cancelled, or one that is retired.
    ///
    /// # Errors
    /// [`ControlError`] where there is none, or it is the live one, or the database fails.
    pub async fn drop(&self, name: &ReadModelName) -> Result<(), ControlError> {
        let records = all(&self.db, &format!("{name}/")).await?;
        let mut tx = self.db.begin(name).await?;
        let Some(model) = Held::<ModelRecord>::find(&self.db, &mut tx, name.model_key()).await? else {
            return Err(ControlError::NotFound(name.to_string()));
        };
        // Read in the transaction: a swap in between would be seen.
        let is_live =
            self.db.record(&mut tx, &live(name.projection())).await? == Some(super::records::text_of(&name.to_string()));
        if is_live || model.value.phase == Phase::Live || !model.remove(&self.db, &mut tx).await? {
            return Err(ControlError::Live(name.clone()));
        }
        for record in records.iter().filter(|record| record.key != model.key) {
            put(&self.db, &mut tx, &record.key, None::<&String>).await?;
        }
        self.db.drop_tables(&mut tx).await?;
        Ok(self.db.commit(tx).await?)
    }

    /// Its parked events, those of each partition in their order.
    ///
    /// # Errors
    /// [`StoreError`] where the database cannot be read.
    pub async fn parked(&self, name: &ReadModelName) -> Result<Vec<ParkedEvent>, StoreError> {
        let records = all(&self.db, &format!("{name}/parked/")).await?;
        records.into_iter().map(|record| Ok(Held::of(record)?.value)).collect()
    }

    /// Has the parked events of the key of this one handled again, in order, as far as it goes.
    ///
    /// # Errors
    /// [`ControlError`] where it is not parked, nobody does it within `timeout`, or the database fails.
    pub async fn retry(&self, name: &ReadModelName, position: Position, timeout: Duration) -> Result<(), ControlError> {
        let partition = self.partition_of_parked(name, position).await?;
        let request = Request::Retry { position: position.get() };
        self.ask(name, name.request_key(partition, &format!("{:020}", position.get())), request, timeout).await
    }

    /// Has a parked event forgotten, and what waited behind it handled.
    ///
    /// # Errors
    /// As [`ReadModels::retry`].
    pub async fn discard(&self, name: &ReadModelName, position: Position, timeout: Duration) -> Result<(), ControlError> {
        let partition = self.partition_of_parked(name, position).await?;
        let request = Request::Discard { position: position.get() };
        self.ask(name, name.request_key(partition, &format!("{:020}", position.get())), request, timeout).await
    }

    /// Has what a stream put into the tables cleared, and its events applied again:
    /// see [`Projection::clear_stream`](crate::Projection::clear_stream).
    ///
    /// # Errors
    /// [`ControlError`] where it is refused, nobody does it within `timeout`, or the database fails.
    pub async fn rebuild_stream(&self, name: &ReadModelName, stream: &StreamName, timeout: Duration) -> Result<(), ControlError> {
        let partition = partition::of(stream.as_str(), self.model(name).await?.value.partitions);
        let request = Request::RebuildStream { stream: stream.clone() };
        self.ask(name, name.request_key(partition, &format!("stream/{stream}")), request, timeout).await
    }

    /// Resolves when everything up to this position is in the live read model of a projection.
    ///
    /// # Errors
    /// [`WaitError`] where it takes longer than `timeout`, or a partition has stopped in front of it.
    pub async fn wait_for(&self, projection: &str, position: Position, timeout: Duration) -> Result<(), WaitError> {
        self.wait(projection, position, timeout, None).await
    }

    pub(crate) async fn wait(
        &self,
        projection: &str,
        position: Position,
        timeout: Duration,
        progress: Option<Progress>,
    ) -> Result<(), WaitError> {
        wait::wait(&self.db, projection, position, timeout, progress).await
    }

    async fn model(&self, name: &ReadModelName) -> Result<Held<ModelRecord>, ControlError> {
        let model = Held::committed(&self.db, &name.model_key()).await?;
        model.ok_or_else(|| ControlError::NotFound(name.to_string()))
    }

    async fn change(&self, name: &ReadModelName, change: impl Fn(&mut ModelRecord)) -> Result<(), ControlError> {
        loop {
            let mut tx = self.db.begin(name).await?;
            let model = Held::<ModelRecord>::find(&self.db, &mut tx, name.model_key()).await?;
            let model = model.ok_or_else(|| ControlError::NotFound(name.to_string()))?;
            let mut changed = model.value.clone();
            change(&mut changed);
            if model.replace(&self.db, &mut tx, &changed).await? {
                return Ok(self.db.commit(tx).await?);
            }
        }
    }

    async fn partition_of_parked(&self, name: &ReadModelName, position: Position) -> Result<u32, ControlError> {
        for partition in 0..self.model(name).await?.value.partitions {
            let key = name.parked_key(partition, position);
            if Held::<ParkedEvent>::committed(&self.db, &key).await?.is_some() {
                return Ok(partition);
            }
        }
        Err(ControlError::NotParked { model: name.clone(), position })
    }

    /// Asks the one who holds a partition, and waits until it is done. The request stands when nobody does it in time.
    async fn ask(&self, name: &ReadModelName, key: String, request: Request, timeout: Duration) -> Result<(), ControlError> {
        let mut tx = self.db.begin(name).await?;
        put(&self.db, &mut tx, &key, Some(&RequestRecord { request, refused: None })).await?;
        self.db.commit(tx).await?;
        let deadline = Instant::now() + timeout;
        loop {
            let Some(held) = Held::<RequestRecord>::committed(&self.db, &key).await? else { return Ok(()) };
            if let Some(refused) = held.value.refused.clone() {
                let mut tx = self.db.begin(name).await?;
                held.remove(&self.db, &mut tx).await?;
                self.db.commit(tx).await?;
                return Err(ControlError::Refused(refused));
            }
            if deadline <= Instant::now() {
                return Err(ControlError::NotDone(name.clone(), timeout));
            }
            tokio::time::sleep(POLL / 5).await;
        }
    }

    async fn read(&self, name: ReadModelName, model: ModelRecord) -> Result<ReadModel, StoreError> {
        let now = self.db.now().await?;
        let mut partitions = Vec::new();
        for number in 0..model.partitions {
            let Some(partition) = Held::<PartitionRecord>::committed(&self.db, &name.partition_key(number)).await? else {
                continue;
            };
            let lease = Held::<LeaseRecord>::committed(&self.db, &name.lease_key(number)).await?;
            let left = |until: i64| u64::try_from(until - now.as_micros()).ok().map(Duration::from_micros);
            let lease = lease.and_then(|lease| Some((lease.value.holder, left(lease.value.until)?)));
            let failure = Held::committed(&self.db, &name.failure_key(number)).await?.map(|failure| failure.value);
            let PartitionRecord { events, .. } = partition.value;
            partitions.push(Partition { checkpoint: partition.value.checkpoint(), events, lease, failure });
        }
        let parked = self.parked(&name).await?.len() as u64;
        let ModelRecord { phase, paused, events_per_second, .. } = model;
        Ok(ReadModel { name, phase, paused, events_per_second, partitions, parked })
    }
}
