//! A supervisor: it keeps a worker for each partition of each read model of its version, and swaps in what is filled.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::Instant;

use super::failure::message;
use super::records::{Failure, Held, ModelRecord, Phase};
use super::register::{create, live_model, models};
use super::runner::{Ended, StartError};
use super::swap::{swap, swap_while_held};
use super::wait;
use super::worker::{POLL, Shared, Worker};
use crate::{Position, Projection, ReadDb, ReadModelName, Store, StoreError};

/// How long a filled read model has to get past the live one by itself, before that one is held for it.
const HOLD_AFTER: Duration = Duration::from_secs(1);

/// The longest time between two holds: each that is in vain doubles it.
const HOLD_AGAIN_MAX: Duration = Duration::from_secs(60);

/// Supervises the read models of a projection's version, for one runner.
pub(crate) struct Supervisor<P: Projection> {
    shared: Arc<Shared<P>>,
    /// How many workers of each read model there are.
    known: HashMap<ReadModelName, u32>,
    workers: JoinSet<ReadModelName>,
    holds: HashMap<ReadModelName, NextHold>,
}

/// When the live read model is to be held for one that does not get past it.
struct NextHold {
    at: Instant,
    after_that: Duration,
}

impl<P: Projection> Supervisor<P> {
    pub(crate) fn new(shared: Arc<Shared<P>>) -> Self {
        Self { shared, known: HashMap::new(), workers: JoinSet::new(), holds: HashMap::new() }
    }

    /// Goes on until it is told to stop, there is nothing left to keep, or a worker is lost.
    pub(crate) async fn run(mut self) -> Ended {
        let shutdown = self.shared.shutdown.clone();
        let ended = shutdown.run_until_cancelled(self.supervise()).await.unwrap_or(Ended::Shutdown);
        shutdown.cancel();
        while self.workers.join_next().await.is_some() {}
        ended
    }

    async fn supervise(&mut self) -> Ended {
        loop {
            let error = match self.attend().await {
                Ok(true) => None,
                // Every one of its read models is dropped.
                Ok(false) => return Ended::Dropped,
                Err(error) => Some(error.to_string()),
            };
            self.shared.status.send_if_modified(|status| {
                let changed = status.error != error;
                status.error = error;
                changed
            });
            tokio::time::sleep(POLL).await;
            while let Some(ended) = self.workers.try_join_next() {
                match ended {
                    Ok(model) => self.lost_worker(&model),
                    Err(error) if error.is_panic() => return Ended::Panicked(message(&*error.into_panic()).to_owned()),
                    Err(_runtime_is_gone) => return Ended::Shutdown,
                }
            }
        }
    }

    /// A worker ends where its read model is dropped: one of that name may be made again, and gets others.
    fn lost_worker(&mut self, model: &ReadModelName) {
        if let Some(left) = self.known.get_mut(model) {
            *left -= 1;
        }
        self.known.retain(|_, left| 0 < *left);
    }

    /// One round of it; `false` where there is no read model of this version any more.
    async fn attend(&mut self) -> Result<bool, StartError> {
        let mut models = models(&self.shared.db, &self.shared.projection.name()).await?;
        models.retain(|(name, _)| name.version() == P::VERSION);

        for (name, model) in &models {
            if !self.known.contains_key(name) {
                self.known.insert(name.clone(), model.partitions);
                for partition in 0..model.partitions {
                    let (worker, name) = (Worker::new(self.shared.clone(), name.clone(), partition), name.clone());
                    self.workers.spawn(async move {
                        worker.run().await;
                        name
                    });
                }
            }
            self.swap_if_filled(name, model).await?;
            self.rebuild_if_asked(name).await?;
        }
        Ok(!models.is_empty())
    }

    async fn swap_if_filled(&mut self, name: &ReadModelName, model: &ModelRecord) -> Result<(), StoreError> {
        let db = &self.shared.db;
        if !self.is_filled(name, model).await? || swap(db, name, P::DELIVERS).await? {
            self.holds.remove(name);
            return Ok(());
        }
        let now = Instant::now();
        let hold = self.holds.entry(name.clone()).or_insert(NextHold { at: now + HOLD_AFTER, after_that: HOLD_AFTER });
        if hold.at <= now {
            hold.after_that = (hold.after_that * 2).min(HOLD_AGAIN_MAX);
            hold.at = now + hold.after_that;
            swap_while_held(db, name, P::DELIVERS).await?;
        }
        Ok(())
    }

    /// Whether it is filled up to a batch from the head, goes on, and is newer than the live one.
    async fn is_filled(&self, name: &ReadModelName, model: &ModelRecord) -> Result<bool, StoreError> {
        let Shared { db, store, options, .. } = &*self.shared;
        if model.phase != Phase::Filling
            || model.paused
            || live_model(db, name.projection()).await?.is_none_or(|live| *name <= live)
        {
            return Ok(false);
        }
        for partition in 0..model.partitions {
            if Held::<Failure>::committed(db, &name.failure_key(partition)).await?.is_some() {
                return Ok(false);
            }
        }
        let checkpoint = wait::checkpoint(db, name, model.partitions).await?.unwrap_or_default();
        Ok(store.head().await?.get() <= checkpoint.get() + options.batch as u64)
    }

    async fn rebuild_if_asked(&self, name: &ReadModelName) -> Result<(), StartError> {
        let db = &self.shared.db;
        let Some(asked) = Held::<String>::committed(db, &name.rebuild_key()).await? else { return Ok(()) };
        if let Ok(next) = asked.value.parse() {
            create(&self.shared.projection, db, &next, Position::START).await?;
        }
        let mut tx = db.begin(name).await?;
        asked.remove(db, &mut tx).await?;
        Ok(db.commit(tx).await?)
    }
}
