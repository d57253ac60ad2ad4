//! The sequencer: it takes the appends that wait, and has the database record them, many at a time.

use std::cmp::Reverse;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use factum::{Append, AppendError, Appended, Clock, StoreError, StoreErrorKind};
use sqlx::Connection;
use sqlx::postgres::PgConnection;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::answer::Answer;
use crate::batch::Batch;
use crate::call::Call;
use crate::changes::Head;
use crate::error::{failed, is_lost, is_read_only};
use crate::inline::Inlines;
use crate::pace::Pace;
use crate::servers::{CALL_TIMEOUT, InUse, Servers};

/// An append, and who waits for what becomes of it.
pub(crate) struct Waiting {
    pub(crate) append: Append,
    pub(crate) reply: Reply,
    /// Until when it is tried.
    pub(crate) deadline: Instant,
}

type Reply = oneshot::Sender<Result<Appended, AppendError>>;

/// How many appends wait at most; more of them wait for their place.
pub(crate) const QUEUE: usize = 1_024;

/// How long it is waited between two tries; twice as long each time, up to the longest.
const FIRST_WAIT: Duration = Duration::from_millis(20);
const LONGEST_WAIT: Duration = Duration::from_secs(1);

/// Has the appends of one store recorded, in turns.
pub(crate) struct Sequencer {
    pub(crate) log: i32,
    pub(crate) servers: Arc<Servers>,
    pub(crate) clock: Option<Arc<dyn Clock>>,
    pub(crate) inline: Inlines,
    pub(crate) queue: mpsc::Receiver<Waiting>,
    /// The head, as others wait for it.
    pub(crate) head: Arc<Head>,
    pub(crate) closed: CancellationToken,
    pub(crate) connection: Option<(InUse, PgConnection)>,
    /// What did not fit into the last batch.
    pub(crate) deferred: VecDeque<Waiting>,
    pub(crate) pace: Pace,
}

impl Sequencer {
    /// Goes on until the store is closed, and what waits is answered.
    pub(crate) async fn run(mut self) {
        while let Some((batch, replies, deadline)) = self.next_batch().await {
            let (appends, begun) = (replies.len(), std::time::Instant::now());
            self.record(batch.into_appends(), replies, deadline).await;
            self.pace.called(appends, begun.elapsed());
        }
        if let Some((_, connection)) = self.connection {
            let _ = connection.close().await;
        }
    }

    /// What waits, as far as it goes together, and until when it is tried; `None` where nothing more will come.
    async fn next_batch(&mut self) -> Option<(Batch, Vec<Reply>, Instant)> {
        if self.deferred.is_empty() {
            let next = self.closed.run_until_cancelled(self.queue.recv()).await;
            if next.is_none() {
                // What is in the queue already is answered; more is not taken.
                self.queue.close();
            }
            let next = match next {
                Some(next) => next,
                None => self.queue.try_recv().ok(),
            };
            self.deferred.push_back(next?);
        }
        self.pace.gather(|| self.deferred.len() + self.queue.len()).await;
        let (mut batch, mut replies) = (Batch::default(), Vec::new());
        let (mut later, mut deadline) = (VecDeque::new(), Instant::now());
        while !batch.is_full() && replies.len() < self.pace.most() && later.len() < QUEUE {
            let Some(waiting) = self.deferred.pop_front().or_else(|| self.queue.try_recv().ok()) else { break };
            if batch.takes(&waiting.append) {
                batch.push(waiting.append);
                replies.push(waiting.reply);
                deadline = deadline.max(waiting.deadline);
            } else {
                later.push_back(waiting);
            }
        }
        later.append(&mut self.deferred);
        self.deferred = later;
        Some((batch, replies, deadline))
    }

    /// Has appends recorded, each whole or not at all, and answers them: those that are in the way of the others first, and the
    /// others are called again. Where they are at fault together, each is tried alone.
    async fn record(&mut self, appends: Vec<Append>, replies: Vec<Reply>, deadline: Instant) {
        let mut rest = VecDeque::from([(appends, replies)]);
        while let Some((mut appends, mut replies)) = rest.pop_front() {
            match self.call(&appends, deadline).await {
                Ok(Answer::Recorded(recorded)) => {
                    for (reply, appended) in replies.into_iter().zip(recorded.appended(&appends)) {
                        self.answer(reply, Ok(appended));
                    }
                }
                Ok(Answer::Refused(mut refused)) => {
                    refused.sort_unstable_by_key(|(index, _)| Reverse(*index));
                    for (index, outcome) in refused {
                        appends.remove(index);
                        self.answer(replies.remove(index), outcome);
                    }
                    if !appends.is_empty() {
                        rest.push_front((appends, replies));
                    }
                }
                Err(Failure { error, may_be_recorded: false })
                    if 1 < appends.len() && error.kind() != StoreErrorKind::Unavailable =>
                {
                    rest.extend(appends.into_iter().zip(replies).map(|(append, reply)| (vec![append], vec![reply])));
                }
                Err(failure) => {
                    let error = failure.into_error();
                    replies.into_iter().for_each(|reply| self.answer(reply, Err(error.clone().into())));
                }
            }
        }
    }

    fn answer(&self, reply: Reply, outcome: Result<Appended, AppendError>) {
        if let Ok(appended) = &outcome {
            self.head.reached(appended.positions.through);
        }
        // Whoever asked may be gone; it is recorded all the same.
        let _ = reply.send(outcome);
    }

    /// Calls until a server answers. To call again is harmless: what is recorded is answered with the original.
    async fn call(&mut self, appends: &[Append], deadline: Instant) -> Result<Answer, Failure> {
        let (mut wait, mut may_be_recorded, mut is_read_only) = (FIRST_WAIT, false, false);
        loop {
            let Failure { error, may_be_recorded: now } = match self.try_call(appends).await {
                Ok(answer) => return Ok(answer),
                Err(failure) => failure,
            };
            may_be_recorded |= now;
            // Once: a pooler may have led to what is a standby now, and leads elsewhere the next time.
            let is_elsewhere = error.kind() == StoreErrorKind::ReadOnly && !is_read_only;
            is_read_only |= is_elsewhere;
            if deadline < Instant::now() + wait || error.kind() != StoreErrorKind::Unavailable && !is_elsewhere {
                return Err(Failure { error, may_be_recorded });
            }
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(LONGEST_WAIT);
        }
    }

    async fn try_call(&mut self, appends: &[Append]) -> Result<Answer, Failure> {
        let now = self.clock.as_ref().map(|clock| clock.now());
        let call = Call { log: self.log, now, inline: self.inline.names() };
        let mut used = self.connection.take();
        if used.as_mut().is_some_and(|(in_use, _)| in_use.is_superseded(&self.servers)) {
            used = None;
        }
        let (in_use, mut connection) = match used {
            Some(used) => used,
            None => self.servers.connect().await.map(|connected| (InUse::new(connected.host), connected.connection))?,
        };
        if !self.inline.is_empty() {
            return self.try_inline(appends, &call, (in_use, connection)).await;
        }
        match self.servers.bounded(in_use.host, call.make(appends, &mut connection)).await {
            Ok(answer) => {
                self.connection = Some((in_use, connection));
                Ok(answer)
            }
            Err(error) => {
                if is_lost(&error) {
                    // It is called again, elsewhere.
                    self.servers.lost(in_use.host);
                } else {
                    self.connection = Some((in_use, connection));
                }
                let may_be_recorded = is_lost(&error) && !is_read_only(&error);
                Err(Failure { error: failed("record it")(error), may_be_recorded })
            }
        }
    }

    /// As [`try_call`](Self::try_call), with what the read models make of it in the same transaction.
    async fn try_inline(
        &mut self,
        appends: &[Append],
        call: &Call,
        (in_use, connection): (InUse, PgConnection),
    ) -> Result<Answer, Failure> {
        let (servers, inline) = (self.servers.clone(), self.inline.clone());
        let recorded = async { Ok(inline.record(appends, call, connection).await) };
        // It is several statements, and what the read models make of the events: one call is bounded by what it is waited for.
        match servers.bounded_by(servers.patience.max(CALL_TIMEOUT), in_use.host, recorded).await {
            Ok((connection, answer)) => {
                match connection {
                    Some(connection) => self.connection = Some((in_use, connection)),
                    None => servers.lost(in_use.host),
                }
                answer
            }
            Err(late) => {
                servers.lost(in_use.host);
                Err(Failure { error: failed("record it")(late), may_be_recorded: true })
            }
        }
    }
}

/// Why a batch has no answer.
pub(crate) struct Failure {
    pub(crate) error: StoreError,
    pub(crate) may_be_recorded: bool,
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self { error, may_be_recorded: false }
    }
}

impl Failure {
    fn into_error(self) -> StoreError {
        if self.may_be_recorded {
            let message = format!("{}; it may be recorded: repeat it with the same event ids", self.error);
            return StoreError::new(StoreErrorKind::UnknownOutcome, message).caused_by(self.error);
        }
        self.error
    }
}
