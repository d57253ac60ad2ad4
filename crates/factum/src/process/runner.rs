//! A process that runs: from now until it is told to stop.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::dispatch::{Dispatch, Handler, dispatch, group, settings};
use super::journal::Names;
use super::reactor::{Reactor, is_transient};
use super::status::ProcessStatus;
use super::{Process, Quarantine};
use crate::{
    Backoff, Category, Clock, Group, GroupError, HandlerError, InvalidAppend, Log, NameError, Position, Selector, StoreError,
    StreamName, SystemClock,
};

/// A process, about to be run: see [`Log::process`].
pub struct ProcessRunner<P: Process> {
    log: Log,
    handler: Handler<P>,
    backoff: Backoff,
    concurrency: usize,
    member: String,
    after: Position,
    clock: Arc<dyn Clock>,
}

/// How many instances have commands under way at a time, unless something else is said.
const CONCURRENCY: usize = 16;
/// How long to wait when the store fails: it is tried again until it is over.
const UNAVAILABLE: Backoff = Backoff { first: Duration::from_millis(50), longest: Duration::from_secs(5), tries: u32::MAX };

impl Log {
    /// Runs a process, whose commands the handler carries out: see [`ProcessRunner::start`].
    ///
    /// The handler's failures are the back-off's to deal with. A command that is refused for good is none: have the handler tell
    /// the process, by an event that it listens to.
    pub fn process<P, H, F>(&self, handler: H) -> ProcessRunner<P>
    where
        P: Process,
        H: Fn(Dispatch<P>) -> F + Send + Sync + 'static,
        F: Future<Output = Result<(), HandlerError>> + Send + 'static,
    {
        ProcessRunner {
            log: self.clone(),
            handler: Arc::new(move |command| Box::pin(handler(command))),
            backoff: Backoff::SHORT,
            concurrency: CONCURRENCY,
            member: Uuid::new_v4().to_string(),
            after: Position::START,
            clock: Arc::new(SystemClock),
        }
    }
}

impl<P: Process> ProcessRunner<P> {
    /// When a command that failed is sent again; after the last try it is parked, with all that its instance sends later.
    /// [`Backoff::SHORT`] otherwise.
    #[must_use]
    pub fn backoff(mut self, backoff: Backoff) -> Self {
        self.backoff = backoff;
        self
    }

    /// How many instances may have commands under way at a time, counted from 1; 16 otherwise.
    #[must_use]
    pub fn concurrency(mut self, instances: usize) -> Self {
        self.concurrency = instances;
        self
    }

    /// By what name it takes part in sending commands: one of this program alone, and best the same after a restart, since
    /// another takes over the commands of one that died only after 30 s. A random one otherwise.
    #[must_use]
    pub fn member(mut self, name: impl Into<String>) -> Self {
        self.member = name.into();
        self
    }

    /// Where a process begins that has handled nothing yet: after this position. At the start otherwise, so that it sends
    /// commands for all that ever happened.
    #[must_use]
    pub fn after(mut self, position: Position) -> Self {
        self.after = position;
        self
    }

    /// The clock that timers go by; it should tell the time of the store. This machine's otherwise.
    #[must_use]
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Runs it on tokio's current runtime, until `shutdown` is cancelled, or something fails that no other try mends.
    ///
    /// Several programs may run it: one of them handles inputs and timers, the others stand by, and all of them send commands.
    ///
    /// # Errors
    /// [`ProcessError`] says why it does not run.
    pub async fn start(self, shutdown: &CancellationToken) -> Result<RunningProcess, ProcessError> {
        let Self { log, handler, backoff, concurrency, member, after, clock } = self;
        let group = group::<P>(&log)?;
        group.create_or_change(settings::<P>()?.backoff(backoff)).await?;
        let names = Names::of(P::CATEGORY)?;
        let inputs = P::query()?;
        let own = [Selector::category(Category::new(P::CATEGORY)?), Selector::stream(names.journal.clone())];
        let query = own.into_iter().fold(inputs.clone(), crate::Query::or);
        let (status, watched) = watch::channel(ProcessStatus::default());
        let shutdown = shutdown.child_token();
        let quarantine = log.quarantine(P::CATEGORY)?;
        let dispatcher = Dispatcher { group: group.clone(), handler, concurrency, member, shutdown: shutdown.clone() };
        let reactor =
            Reactor { log, names, query, inputs, clock, unavailable: UNAVAILABLE, after, shutdown: shutdown.clone(), status };
        let reactor = tokio::spawn(stopping(reactor.run::<P>(), shutdown.clone()));
        let dispatcher = tokio::spawn(stopping(dispatcher.run(), shutdown));
        Ok(RunningProcess { quarantine, group, status: watched, reactor, dispatcher })
    }
}

/// Runs one half of a process; where it ends, so does the other.
async fn stopping<T>(half: impl Future<Output = T>, shutdown: CancellationToken) -> T {
    let _stop = shutdown.drop_guard();
    half.await
}

/// Sends commands, until it is told to stop.
struct Dispatcher<P: Process> {
    group: Group,
    handler: Handler<P>,
    concurrency: usize,
    member: String,
    shutdown: CancellationToken,
}

impl<P: Process> Dispatcher<P> {
    async fn run(self) -> Result<(), ProcessError> {
        let mut failures = 0;
        loop {
            let handler = self.handler.clone();
            let handler = move |delivery| dispatch::<P>(handler.clone(), delivery);
            match self.group.run(&self.member, self.concurrency, handler, self.shutdown.clone()).await {
                Err(GroupError::Store(error)) if is_transient(&error) => failures += 1,
                outcome => return Ok(outcome?),
            }
            let wait = UNAVAILABLE.after(failures).unwrap_or(UNAVAILABLE.longest);
            if self.shutdown.run_until_cancelled(tokio::time::sleep(wait)).await.is_none() {
                return Ok(());
            }
        }
    }
}

/// Why a process does not run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProcessError {
    /// Others were there first every time: find out who writes to its instances so often.
    #[error("others were there first every time, so nothing after {handled} could be handled: find out what writes so much")]
    Stuck {
        /// Every input up to here is handled.
        handled: Position,
    },
    /// So many instances are in quarantine that the fault is not theirs.
    #[error("{stream} would be one more in quarantine than may be there, for: {error}; mend that, then release them")]
    Quarantined {
        /// The last that failed.
        stream: StreamName,
        /// Why.
        error: String,
    },
    /// Its journal cannot be read.
    #[error("the process's journal is unreadable: {0}")]
    Journal(String),
    /// The store takes no such append: the store is at fault.
    #[error(transparent)]
    Refused(InvalidAppend),
    /// The group that sends its commands.
    #[error(transparent)]
    Group(#[from] GroupError),
    /// The category, or something in its query, is no name.
    #[error(transparent)]
    Name(#[from] NameError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A process that runs: to be watched, and waited for. Dropped, it runs on: it ends with its shutdown token.
#[derive(Debug)]
pub struct RunningProcess {
    quarantine: Quarantine,
    group: Group,
    status: watch::Receiver<ProcessStatus>,
    reactor: JoinHandle<Result<(), ProcessError>>,
    dispatcher: JoinHandle<Result<(), ProcessError>>,
}

impl RunningProcess {
    /// What it does with inputs and timers, just now.
    pub fn status(&self) -> ProcessStatus {
        self.status.borrow().clone()
    }

    /// What it does, as it changes.
    pub fn watch(&self) -> watch::Receiver<ProcessStatus> {
        self.status.clone()
    }

    /// The instances that failed, to be let go.
    pub fn quarantine(&self) -> &Quarantine {
        &self.quarantine
    }

    /// The group that sends its commands: how far it is, and what is parked, to be replayed or discarded.
    pub fn group(&self) -> &Group {
        &self.group
    }

    /// Resolves when it has ended.
    ///
    /// # Errors
    /// [`ProcessError`] says why, where it was not its shutdown token.
    pub async fn ended(self) -> Result<(), ProcessError> {
        for half in [self.reactor, self.dispatcher] {
            match half.await {
                Ok(outcome) => outcome?,
                Err(ended) if ended.is_panic() => std::panic::resume_unwind(ended.into_panic()),
                Err(_runtime_gone) => {}
            }
        }
        Ok(())
    }
}
