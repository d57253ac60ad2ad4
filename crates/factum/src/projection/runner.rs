//! A runner: it keeps the read model of a projection up to date, from now until it is told to stop.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::anchor::another_log;
use super::failure::{OnFailure, message};
use super::read_models::ReadModels;
use super::records::Failure;
use super::register::register;
use super::status::Status;
use super::supervisor::Supervisor;
use super::wait::{Progress, WaitError};
use super::worker::Shared;
use crate::{Backoff, EventId, Log, NameError, Position, Projection, ReadModelName, ReadModelNameError, StoreError};

/// A projection, about to be run: see [`Log::project`].
pub struct Runner<P: Projection> {
    log: Log,
    projection: P,
    db: P::Db,
    after: Position,
    options: Options,
}

/// How it runs.
pub(crate) struct Options {
    pub(crate) on_failure: OnFailure,
    pub(crate) while_rebuilding: OnFailure,
    pub(crate) unavailable: Backoff,
    pub(crate) lease: Duration,
    pub(crate) batch: usize,
    pub(crate) holder: String,
    /// This run of the holder's.
    pub(crate) session: String,
}

/// How long a lease lasts that is not renewed, unless something else is said.
pub const LEASE: Duration = Duration::from_secs(10);

/// The most events in a transaction, unless something else is said.
pub const BATCH_EVENTS: usize = 500;

/// How long to wait when the database or the store fails: it is tried again until it is over.
const UNAVAILABLE: Backoff = Backoff { first: Duration::from_millis(50), longest: Duration::from_secs(5), tries: u32::MAX };

impl Log {
    /// Keeps a projection's read model in a database up to date: see [`Runner::start`].
    pub fn project<P: Projection>(&self, projection: P, db: P::Db) -> Runner<P> {
        Runner::new(self.clone(), projection, db)
    }
}

impl<P: Projection> Runner<P> {
    fn new(log: Log, projection: P, db: P::Db) -> Self {
        let session = Uuid::new_v4().to_string();
        let options = Options {
            on_failure: OnFailure::Stop,
            while_rebuilding: OnFailure::Stop,
            unavailable: UNAVAILABLE,
            lease: LEASE,
            batch: BATCH_EVENTS,
            holder: session.clone(),
            session,
        };
        Self { log, projection, db, after: Position::START, options }
    }

    /// What to do about an event that cannot be handled: [`OnFailure::Stop`] unless this says something else.
    #[must_use]
    pub fn on_failure(mut self, policy: OnFailure) -> Self {
        self.options.on_failure = policy;
        self
    }

    /// What to do about one while a read model is filled beside the live one: [`OnFailure::Stop`] unless this says something
    /// else.
    #[must_use]
    pub fn while_rebuilding(mut self, policy: OnFailure) -> Self {
        self.options.while_rebuilding = policy;
        self
    }

    /// How long a lease lasts that is not renewed: another process takes over after that time. [`LEASE`] otherwise.
    #[must_use]
    pub fn lease(mut self, time: Duration) -> Self {
        self.options.lease = time;
        self
    }

    /// The most events in a transaction, counted from 1; [`BATCH_EVENTS`] otherwise.
    #[must_use]
    pub fn batch(mut self, events: usize) -> Self {
        self.options.batch = events.max(1);
        self
    }

    /// By what name it holds leases, to be shown. A random one otherwise.
    ///
    /// Started again under its name, it takes its leases back at once, and need not wait until their time is over: so each of the
    /// processes that share a projection needs a name of its own.
    #[must_use]
    pub fn holder(mut self, name: impl Into<String>) -> Self {
        self.options.holder = name.into();
        self
    }

    /// Where a read model that is not there yet begins: after this position. At the start otherwise.
    #[must_use]
    pub fn after(mut self, position: Position) -> Self {
        self.after = position;
        self
    }

    /// Registers the read model, with its tables, and fills it on tokio's current runtime, until `shutdown` is cancelled.
    ///
    /// The first read model of a projection is live at once. One of a higher version is filled beside the live one, takes its
    /// place when it has caught up, and leaves it to whoever still fills it, until it is dropped.
    ///
    /// # Errors
    /// [`StartError`] says why it does not run.
    pub async fn start(self, shutdown: &CancellationToken) -> Result<Running<P>, StartError> {
        let Self { log, projection, db, after, options } = self;
        register(&projection, &db, log.store(), after).await?;
        let query = projection.query()?;
        let (status, watched) = watch::channel(Status::default());
        let name = projection.name().into_owned();
        let store = log.store().clone();
        let shutdown = shutdown.child_token();
        let shared = Arc::new(Shared { projection, db: db.clone(), store, query, options, shutdown, status });
        let task = tokio::spawn(Supervisor::new(shared).run());
        Ok(Running { name, models: ReadModels::new(db), status: watched, task })
    }
}

/// Why a projection does not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// A newer version of it is live: this program is out of date.
    #[error(
        "{live} is live, and this program has version {version}: deploy the newer program, or give this one a higher version"
    )]
    Superseded {
        /// What is live.
        live: ReadModelName,
        /// [`Projection::VERSION`] of this program.
        version: u32,
    },
    /// The number of partitions changed without the version.
    #[error("{model} has {actual} partitions, and this program wants {expected}: give the projection a new VERSION")]
    Partitions {
        /// The read model.
        model: ReadModelName,
        /// [`Projection::PARTITIONS`] of this program.
        expected: u32,
        /// How many it has.
        actual: u32,
    },
    /// Its read models are made from another log.
    #[error("{}", another_log(projection, *position, *event_id))]
    AnotherLog {
        /// Its name.
        projection: String,
        /// Where the first event stands that they were given.
        position: Position,
        /// The id of that event; the log at hand has another one there.
        event_id: EventId,
    },
    /// Its tables cannot be made.
    #[error("cannot make the tables: {0}")]
    Create(String),
    /// Its name is none.
    #[error(transparent)]
    ReadModelName(#[from] ReadModelNameError),
    /// Something in its query is no name.
    #[error(transparent)]
    Name(#[from] NameError),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A projection that runs: to be watched, and waited for. Dropped, it runs on: it ends with its shutdown token.
pub struct Running<P: Projection> {
    name: String,
    models: ReadModels<P::Db>,
    status: watch::Receiver<Status>,
    task: JoinHandle<Ended>,
}

impl<P: Projection> Running<P> {
    /// Resolves when everything up to this position is in the live read model: read your own writes.
    ///
    /// # Errors
    /// [`WaitError`] where it takes longer than `timeout`, or a partition has stopped in front of it.
    pub async fn wait_for(&self, position: Position, timeout: Duration) -> Result<(), WaitError> {
        let progress = Progress { status: self.status.clone(), partitions: P::PARTITIONS.max(1) };
        self.models.wait(&self.name, position, timeout, Some(progress)).await
    }

    /// What it does, just now.
    pub fn status(&self) -> Status {
        self.status.borrow().clone()
    }

    /// What it does, as it changes.
    pub fn watch(&self) -> watch::Receiver<Status> {
        self.status.clone()
    }

    /// The read models, to be controlled.
    pub fn read_models(&self) -> &ReadModels<P::Db> {
        &self.models
    }

    /// Resolves when a partition has stopped at an event that cannot be handled: with the failure; or when it has ended: with
    /// none.
    pub async fn stopped(&self) -> Option<Failure> {
        let mut status = self.status.clone();
        let stopped = status.wait_for(|status| status.failure().is_some()).await;
        stopped.ok().and_then(|status| status.failure().cloned())
    }

    /// Ends it where it is, as a kill of the process would.
    pub(crate) async fn kill(self) {
        self.task.abort();
        let _ = self.task.await;
    }

    /// Resolves when it has ended, and tells why.
    pub async fn ended(self) -> Ended {
        match self.task.await {
            Ok(ended) => ended,
            Err(error) if error.is_panic() => Ended::Panicked(message(&*error.into_panic()).to_owned()),
            Err(_runtime_is_gone) => Ended::Shutdown,
        }
    }
}

/// Why a projection does not run any more.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Ended {
    /// Its shutdown token was cancelled.
    Shutdown,
    /// All read models of its version are dropped.
    Dropped,
    /// Something in it panicked that is not about an event, with this message.
    Panicked(String),
}
