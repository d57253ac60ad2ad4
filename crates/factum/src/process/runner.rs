//! A process that runs: it reacts, lets timers go off, and sends commands, until it is told to stop.

use std::collections::BTreeMap;
use std::future::Future;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::Process;
use super::dispatcher::{Cause, Dispatcher};
use super::reactor::{Outcome, Reactor};
use super::troubled::{TroubleEvent, Troubled};
use crate::{
    Append, AppendError, Backoff, Clock, EventId, Group, GroupError, GroupSettings, HandlerError, Log, NameError, Position,
    Query, Repository, Selector, Store, StoreError, SystemClock, Timestamp,
};

/// How often it is looked for timers that are due, and for instances that are released.
const LOOK: Duration = Duration::from_millis(200);
/// How long to wait when the store fails.
const UNAVAILABLE: Backoff = Backoff { first: Duration::from_millis(50), longest: Duration::from_secs(5), tries: u32::MAX };
/// How many instances' commands are sent at a time, unless something else is said.
const CONCURRENCY: usize = 16;

/// A process, about to be run: see [`Log::process`].
pub struct ProcessRunner<P, H> {
    log: Log,
    dispatcher: Dispatcher<P, H>,
    clock: Arc<dyn Clock>,
    backoff: Backoff,
    member_timeout: Duration,
    concurrency: usize,
    member: String,
}

/// Why a process does not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProcessError {
    /// The group that sends its commands.
    #[error(transparent)]
    Group(#[from] GroupError),
    /// A name in it is none.
    #[error(transparent)]
    Name(#[from] NameError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Log {
    /// Runs a process, and sends its commands to a handler: see [`ProcessRunner::start`].
    pub fn process<P, H, F>(&self, handler: H) -> ProcessRunner<P, H>
    where
        P: Process<Id: FromStr>,
        H: Fn(P::Command, Cause) -> F + Send + Sync + 'static,
        F: Future<Output = Result<(), HandlerError>> + Send + 'static,
    {
        ProcessRunner {
            log: self.clone(),
            dispatcher: Dispatcher::new(handler),
            clock: Arc::new(SystemClock),
            backoff: Backoff::SHORT,
            member_timeout: Duration::from_secs(30),
            concurrency: CONCURRENCY,
            member: Uuid::new_v4().to_string(),
        }
    }
}

impl<P, H, F> ProcessRunner<P, H>
where
    P: Process<Id: FromStr>,
    H: Fn(P::Command, Cause) -> F + Send + Sync + 'static,
    F: Future<Output = Result<(), HandlerError>> + Send + 'static,
{
    /// The clock that timers go by: this machine's, unless it is another.
    #[must_use]
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// How often a command that fails is sent again, before its instance's commands are parked. [`Backoff::SHORT`] otherwise.
    #[must_use]
    pub fn backoff(mut self, backoff: Backoff) -> Self {
        self.backoff = backoff;
        self
    }

    /// After how long one that runs elsewhere and is not heard of counts as gone. 30 s otherwise.
    #[must_use]
    pub fn member_timeout(mut self, timeout: Duration) -> Self {
        self.member_timeout = timeout;
        self
    }

    /// By what name it takes part: one of this process of the system alone. A random one otherwise. One that is always the same
    /// goes on at once after a crash.
    #[must_use]
    pub fn member(mut self, name: impl Into<String>) -> Self {
        self.member = name.into();
        self
    }

    /// Runs it on tokio's current runtime, from where it stands, until `shutdown` is cancelled.
    ///
    /// Several may run it at once: an input leads to its events once, and a timer goes off once, whoever is first; its commands
    /// are shared among them by the consumer group `process-` and the process's category.
    ///
    /// # Errors
    /// [`ProcessError`] where the store cannot be read, or not be written to.
    pub async fn start(self, shutdown: &CancellationToken) -> Result<RunningProcess, ProcessError> {
        let Self { log, dispatcher, clock, backoff, member_timeout, concurrency, member } = self;
        let reactor = Reactor::<P>::load(&log).await?;
        let group = log.group(&format!("process-{}", P::CATEGORY))?;
        let of_own = Query::from(Selector::category(P::CATEGORY.parse()?));
        if group.status().await.is_err() {
            group.create(GroupSettings::new(of_own).backoff(backoff).member_timeout(member_timeout)).await?;
        }
        let (status, watched) = watch::channel(ProcessStatus::default());
        let shutdown = shutdown.child_token();
        let troubles = reactor.troubles.stream.clone();
        let reacting = tokio::spawn(react(reactor, clock, status, shutdown.clone()));
        let dispatcher = Arc::new(dispatcher);
        let handler = move |delivery| {
            let dispatcher = dispatcher.clone();
            async move { dispatcher.dispatch(delivery).await }
        };
        let dispatching = tokio::spawn(dispatch(group.clone(), member, concurrency, handler, shutdown));
        Ok(RunningProcess { log, group, troubles, status: watched, tasks: [reacting, dispatching] })
    }
}

/// Takes part in the group for as long as it goes; where the store fails, again.
async fn dispatch<H, F>(group: Group, member: String, concurrency: usize, handler: H, shutdown: CancellationToken)
where
    H: Fn(crate::Delivery) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Result<(), HandlerError>> + Send + 'static,
{
    let mut failures = 0;
    while !shutdown.is_cancelled() {
        if group.run(&member, concurrency, handler.clone(), shutdown.clone()).await.is_err() {
            failures += 1;
            let wait = UNAVAILABLE.after(failures).unwrap_or(UNAVAILABLE.longest);
            let _ = shutdown.run_until_cancelled(tokio::time::sleep(wait)).await;
        }
    }
}

async fn react<P: Process<Id: FromStr>>(
    mut reactor: Reactor<P>,
    clock: Arc<dyn Clock>,
    status: watch::Sender<ProcessStatus>,
    shutdown: CancellationToken,
) {
    let mut failures = 0;
    loop {
        match shutdown.run_until_cancelled(round(&mut reactor, &*clock, &status)).await {
            None => return,
            Some(Ok(())) => failures = 0,
            Some(Err(error)) => {
                failures += 1;
                status.send_modify(|status| status.error = Some(error.to_string()));
                let wait = UNAVAILABLE.after(failures).unwrap_or(UNAVAILABLE.longest);
                if shutdown.run_until_cancelled(tokio::time::sleep(wait)).await.is_none() {
                    return;
                }
                // What was in hand when it failed may be recorded.
                let _ = reactor.reload().await;
            }
        }
    }
}

/// Handles what there is, and then waits for more, for a while.
async fn round<P: Process<Id: FromStr>>(
    reactor: &mut Reactor<P>,
    clock: &dyn Clock,
    status: &watch::Sender<ProcessStatus>,
) -> Result<(), StoreError> {
    let (further, page) = reactor.react().await?;
    let mut error = None;
    for timer in reactor.timers.due(clock.now()) {
        match reactor.fire(&timer).await {
            Ok(Outcome::Recorded | Outcome::Waits) => {}
            Ok(Outcome::Lost) => reactor.reload().await?,
            // The others go off all the same.
            Err(failed) => error = Some(failed),
        }
    }
    while reactor.handle_released().await? {}
    reactor.timers.keep(&reactor.log).await?;
    status.send_replace(ProcessStatus {
        position: reactor.position,
        head: page.head,
        waiting_since: page.events.first().filter(|_| reactor.position < page.head).map(|event| event.recorded_at),
        timers: reactor.timers.len(),
        troubled: reactor.troubles.instances.clone(),
        error: error.as_ref().map(ToString::to_string),
    });
    if let Some(error) = error {
        return Err(error);
    }
    if !further {
        let _ = tokio::time::timeout(LOOK, reactor.log.store().changed(reactor.position)).await;
        reactor.troubles.read_on(&reactor.log).await?;
    }
    Ok(())
}

/// What a process does just now, in this process of the system.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct ProcessStatus {
    /// Every input up to here is handled, or set aside.
    pub position: Position,
    /// The head of the store, when it was last seen.
    pub head: Position,
    /// When the oldest input that was not yet handled was recorded; `None` where there was none.
    pub waiting_since: Option<Timestamp>,
    /// How many timers are set.
    pub timers: usize,
    /// Instances with an input that cannot be handled, by stream.
    pub troubled: BTreeMap<String, Troubled>,
    /// Why it does not go on just now: it is tried again.
    pub error: Option<String>,
}

/// A process that runs. Dropped, it runs on: it ends with its shutdown token.
#[derive(Debug)]
pub struct RunningProcess {
    log: Log,
    group: Group,
    troubles: crate::StreamName,
    status: watch::Receiver<ProcessStatus>,
    tasks: [JoinHandle<()>; 2],
}

impl RunningProcess {
    /// What it does, just now.
    pub fn status(&self) -> ProcessStatus {
        self.status.borrow().clone()
    }

    /// What it does, as it changes.
    pub fn watch(&self) -> watch::Receiver<ProcessStatus> {
        self.status.clone()
    }

    /// The group that sends its commands: where what is parked can be looked at, replayed and discarded.
    pub fn group(&self) -> &Group {
        &self.group
    }

    /// Lets an instance go on that is in trouble, from the input that failed.
    ///
    /// # Errors
    /// [`ProcessError`] where the store failed.
    pub async fn release<P: Process>(&self, id: &P::Id) -> Result<(), ProcessError> {
        let released = TroubleEvent::Released { instance: Repository::<P>::stream(id)?.to_string() };
        let event = released.to_new_event(&self.troubles, EventId::new())?;
        match self.log.append(Append::new(vec![event])).await {
            Ok(_) => Ok(()),
            Err(AppendError::Store(error)) => Err(error.into()),
            Err(refused) => Err(GroupError::Refused(refused).into()),
        }
    }

    /// Resolves when it has ended, with its shutdown token.
    pub async fn ended(self) {
        for task in self.tasks {
            let _ = task.await;
        }
    }
}
