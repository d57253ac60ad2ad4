//! The reactor of a process: inputs and timers become own events, each once.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::failed::Failed;
use super::journal::Names;
use super::runner::ProcessError;
use super::session::Session;
use super::status::ProcessStatus;
use crate::{ATTEMPTS_MAX, Activity, Backoff, Clock, Log, Position, Process, Query, Store, StoreError, StoreErrorKind};

/// Handles inputs and timers, until it is told to stop.
///
/// It holds no lease. What it records, it records only if nobody else has recorded anything that it depends on; where another
/// has, that other is at work, and it stands by for as long as the other gets on.
pub(crate) struct Reactor {
    pub(crate) log: Log,
    pub(crate) names: Names,
    /// Inputs, own events, and the journal.
    pub(crate) query: Query,
    /// Inputs.
    pub(crate) inputs: Query,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) unavailable: Backoff,
    /// Where a process begins that has handled nothing.
    pub(crate) after: Position,
    pub(crate) shutdown: CancellationToken,
    pub(crate) status: watch::Sender<ProcessStatus>,
}

/// Why it does not go on just now.
#[derive(Debug)]
pub(crate) enum Halt {
    /// Something is not as it was read: all of it is read again.
    Lost,
    Store(StoreError),
    Ended(ProcessError),
}

impl From<StoreError> for Halt {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// Where it fails in something that is not an instance's.
impl From<Failed> for Halt {
    fn from(failed: Failed) -> Self {
        match failed {
            Failed::Store(error) => Self::Store(error),
            Failed::Here(error) => Self::Ended(ProcessError::Journal(error)),
        }
    }
}

/// How long it waits when another was there first, so that it does not do so for ever in no time.
const LOST: Duration = Duration::from_millis(10);
/// How long it stands by before it looks whether the other gets on.
const STANDBY: Duration = Duration::from_secs(1);

impl Reactor {
    pub(crate) async fn run<P: Process>(self) -> Result<(), ProcessError> {
        let shutdown = self.shutdown.clone();
        let (mut losses, mut failures, mut careful, mut furthest) = (0, 0, false, Position::START);
        loop {
            let begun = Instant::now();
            let mut session = Session::<P>::new(&self, careful);
            let Some(halt) = shutdown.run_until_cancelled(session.run()).await else { return Ok(()) };
            if session.began.is_some_and(|mark| furthest < mark) || STANDBY < begun.elapsed() {
                (furthest, losses) = (session.began.unwrap_or_default(), 0);
            }
            failures = if session.began.is_some() { 0 } else { failures };
            let mark = session.mark;
            let wait = match halt {
                Halt::Ended(error) => return Err(error),
                Halt::Store(error) if !is_transient(&error) => return Err(error.into()),
                Halt::Store(error) => {
                    failures += 1;
                    self.status.send_modify(|status| status.activity = Activity::Unavailable(error.to_string()));
                    self.unavailable.after(failures).ok_or(error)?
                }
                Halt::Lost => {
                    losses += 1;
                    careful = true;
                    if ATTEMPTS_MAX <= losses {
                        return Err(ProcessError::Stuck { handled: mark });
                    }
                    if shutdown.run_until_cancelled(self.stand_by(mark)).await.is_none() {
                        return Ok(());
                    }
                    LOST
                }
            };
            if shutdown.run_until_cancelled(tokio::time::sleep(wait)).await.is_none() {
                return Ok(());
            }
        }
    }

    /// Waits for as long as another handles inputs.
    async fn stand_by(&self, mut mark: Position) {
        while let Ok(reached) = self.log.store().consumed(self.names.consumer.clone()).await
            && mark < reached
        {
            mark = reached;
            self.status.send_modify(|status| status.activity = Activity::Standby);
            tokio::time::sleep(STANDBY).await;
        }
    }
}

/// Whether it may be over when it is tried again.
pub(crate) fn is_transient(error: &StoreError) -> bool {
    matches!(error.kind(), StoreErrorKind::Unavailable | StoreErrorKind::UnknownOutcome | StoreErrorKind::Full)
}
