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
use crate::error::{failed, is_lost};
use crate::inline::Inlines;
use crate::pace::Pace;
use crate::servers::Servers;

/// An append, and who waits for what becomes of it.
pub(crate) struct Waiting {
    pub(crate) append: Append,
    pub(crate) reply: Reply,
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
    /// To the server with this place among the hosts.
    pub(crate) connection: Option<(usize, PgConnection)>,
    /// What did not fit into the last batch.
    pub(crate) deferred: VecDeque<Waiting>,
    pub(crate) pace: Pace,
}

impl Sequencer {
    /// Goes on until the store is closed, and what waits is answered.
    pub(crate) async fn run(mut self) {
        while let Some((batch, replies)) = self.next_batch().await {
            let (appends, begun) = (replies.len(), std::time::Instant::now());
            self.record(batch.into_appends(), replies).await;
            self.pace.called(appends, begun.elapsed());
        }
        if let Some((_, connection)) = self.connection {
            let _ = connection.close().await;
        }
    }

    /// What waits, as far as it goes together; `None` where nothing more will come.
    async fn next_batch(&mut self) -> Option<(Batch, Vec<Reply>)> {
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
        let mut later = VecDeque::new();
        while !batch.is_full() && later.len() < QUEUE {
            let Some(waiting) = self.deferred.pop_front().or_else(|| self.queue.try_recv().ok()) else { break };
            if batch.takes(&waiting.append) {
                batch.push(waiting.append);
                replies.push(waiting.reply);
            } else {
                later.push_back(waiting);
            }
        }
        later.append(&mut self.deferred);
        self.deferred = later;
        Some((batch, replies))
    }

    /// Has appends recorded, each whole or not at all, and answers them: those that are in the way of the others first, and the
    /// others are called again. Where they are at fault together, each is tried alone.
    async fn record(&mut self, appends: Vec<Append>, replies: Vec<Reply>) {
        let mut rest = VecDeque::from([(appends, replies)]);
        while let Some((mut appends, mut replies)) = rest.pop_front() {
            match self.call(&appends).await {
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
    async fn call(&mut self, appends: &[Append]) -> Result<Answer, Failure> {
        let deadline = Instant::now() + self.servers.patience;
        let (mut wait, mut may_be_recorded) = (FIRST_WAIT, false);
        loop {
            let error = match self.try_call(appends, &mut may_be_recorded).await {
                Ok(answer) => return Ok(answer),
                Err(error) if error.kind() == StoreErrorKind::Unavailable => error,
                Err(error) => return Err(Failure { error, may_be_recorded }),
            };
            if deadline < Instant::now() + wait {
                return Err(Failure { error, may_be_recorded });
            }
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(LONGEST_WAIT);
        }
    }

    async fn try_call(&mut self, appends: &[Append], may_be_recorded: &mut bool) -> Result<Answer, StoreError> {
        let now = self.clock.as_ref().map(|clock| clock.now());
        let call = Call { log: self.log, now, inline: self.inline.names() };
        let (host, mut connection) = match self.connection.take() {
            Some(connection) => connection,
            None => self.servers.connect().await.map(|connected| (connected.host, connected.connection))?,
        };
        if !self.inline.is_empty() {
            return self.try_inline(appends, &call, (host, connection), may_be_recorded).await;
        }
        let called = self.servers.bounded(host, call.make(appends, &mut connection)).await;
        if called.as_ref().is_err_and(is_lost) {
            // It may be recorded all the same: it is called again, elsewhere.
            *may_be_recorded = true;
            self.servers.lost(host);
        } else {
            self.connection = Some((host, connection));
        }
        called.map_err(failed("record it"))
    }
}

impl Sequencer {
    /// As [`try_call`](Self::try_call), with what the read models make of it in the same transaction.
    async fn try_inline(
        &mut self,
        appends: &[Append],
        call: &Call,
        (host, connection): (usize, PgConnection),
        may_be_recorded: &mut bool,
    ) -> Result<Answer, StoreError> {
        let inline = self.inline.clone();
        let recorded = async { Ok(inline.record(appends, call, connection).await) };
        match self.servers.bounded(host, recorded).await {
            Ok((connection, answer)) => {
                self.connection = connection.map(|connection| (host, connection));
                if self.connection.is_none() {
                    *may_be_recorded = true;
                    self.servers.lost(host);
                }
                answer
            }
            Err(late) => {
                *may_be_recorded = true;
                self.servers.lost(host);
                Err(failed("record it")(late))
            }
        }
    }
}

/// Why a batch has no answer.
struct Failure {
    error: StoreError,
    may_be_recorded: bool,
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
