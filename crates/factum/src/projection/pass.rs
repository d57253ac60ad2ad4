//! Passing events: they are delivered, applied and counted, a batch a transaction, and one that fails is dealt with by itself.

use std::time::Duration;

use tokio::time::Instant;

use super::TxOf;
use super::failure::{OnFailure, Unavailable, caught, guarded, text};
use super::records::{Failure, ParkedEvent, PartitionRecord};
use super::status::Activity;
use super::worker::{Halt, Session};
use crate::{
    Batch, EventId, EventSet, Position, Projection, ReadDb, RecordedEvent, StoreError, StoreErrorKind, TypedEvent, partition,
};

/// An event that is this partition's to handle.
pub(crate) struct Due<E> {
    pub(crate) position: Position,
    pub(crate) id: EventId,
    pub(crate) key: String,
    /// The event, or why it cannot be read.
    pub(crate) event: Result<TypedEvent<E>, String>,
}

/// How long the changes of one event may take at least, which is the time of the lease where that is longer: a database that has
/// gone without a word is not waited for any longer.
const APPLY_MIN: Duration = Duration::from_secs(60);

/// What became of a transaction on some events.
enum Transacted {
    /// This many, from the first, are passed.
    Passed(usize),
    /// None is passed: the one with this index failed.
    Failed(usize, String),
}

impl<P: Projection> Session<'_, P> {
    /// Passes all events of a batch.
    pub(crate) async fn pass(&mut self, batch: Batch) -> Result<(), Halt> {
        let Batch { events, checkpoint, head } = batch;
        self.see(head);
        self.anchor().await?;
        let due: Vec<_> = events.into_iter().filter_map(|event| self.due(event)).collect();
        let mut rest = due.as_slice();
        while !rest.is_empty() {
            let some = &rest[..self.at_once().min(rest.len())];
            let through = if some.len() == rest.len() { checkpoint } else { some[some.len() - 1].position };
            let began = Instant::now();
            let passed = self.pass_some(some, through).await?;
            rest = &rest[passed..];
            let waiting = rest.first().and_then(|due| due.event.as_ref().ok()).map(|event| event.recorded_at);
            self.show(if head <= self.record.value.checkpoint() { Activity::Following } else { Activity::CatchingUp }, waiting);
            self.throttle(passed, began).await?;
            self.attend().await?;
            while self.model.paused {
                self.show(Activity::Paused, waiting);
                self.wait(super::worker::POLL).await?;
            }
        }
        if self.record.value.checkpoint() < checkpoint {
            self.transact(&[], checkpoint).await?;
            self.show(if head <= checkpoint { Activity::Following } else { Activity::CatchingUp }, None);
        }
        Ok(())
    }

    /// The event, if it is one of the projection's, and in this partition.
    pub(crate) fn due(&self, event: RecordedEvent) -> Option<Due<P::Events>> {
        let (key, readable) = match caught(|| self.shared().projection.partition_key(&event).into_owned()) {
            Ok(key) => (key, Ok(())),
            // It is where its stream is, as a failure.
            Err(panicked) => (event.stream.to_string(), Err(panicked)),
        };
        if partition::of(&key, self.model.partitions) != self.partition() {
            return None;
        }
        let (position, id) = (event.position, event.id);
        let event = match readable.and_then(|()| caught(|| P::Events::of(&event))) {
            Ok(Ok(data)) => Ok(TypedEvent { data: data?, recorded: event }),
            Ok(Err(error)) => Err(text(&error.into())),
            Err(panicked) => Err(panicked),
        };
        Some(Due { position, id, key, event })
    }

    /// Passes as many of the events, from the first, as it can; at least one.
    async fn pass_some(&mut self, some: &[Due<P::Events>], through: Position) -> Result<usize, Halt> {
        let (ready, undelivered) = self.deliver(some).await?;
        let (passed, unapplied) = match ready {
            0 => (0, None),
            _ => self.apply(&some[..ready], if ready == some.len() { through } else { some[ready - 1].position }).await?,
        };
        let failed = unapplied.or_else(|| undelivered.filter(|_| passed == ready));
        match failed {
            Some(error) => self.settle(&some[passed], error).await.map(|()| passed + 1),
            None => Ok(passed),
        }
    }

    /// Delivers the events in their order, as many as there is time for: how many, and what is wrong with the next.
    async fn deliver(&mut self, some: &[Due<P::Events>]) -> Result<(usize, Option<String>), Halt> {
        if !self.delivers() {
            return Ok((some.len(), None));
        }
        let began = Instant::now();
        for (index, due) in some.iter().enumerate() {
            if 0 < index && self.shared().options.lease / 4 < began.elapsed() {
                return Ok((index, None));
            }
            self.attend().await?;
            // An effect cannot be taken back: after a swap it is the other one's.
            self.look().await?;
            match self.deliver_one(due).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => return Ok((index, Some(error))),
                // What had its effect counts first, so that it is not had again at each try.
                Err(Halt::Unavailable(_)) if 0 < index => return Ok((index, None)),
                Err(halt) => return Err(halt),
            }
        }
        Ok((some.len(), None))
    }

    pub(crate) async fn deliver_one(&self, due: &Due<P::Events>) -> Result<Result<(), String>, Halt> {
        match &due.event {
            Ok(event) if self.delivers() && !self.parked.contains_key(&due.key) => self.deliver_event(event).await,
            _ => Ok(Ok(())),
        }
    }

    /// Applies events in as few transactions as it can: how many, and why not the next.
    async fn apply(&mut self, some: &[Due<P::Events>], through: Position) -> Result<(usize, Option<String>), Halt> {
        let (mut end, mut failed) = (some.len(), None);
        loop {
            let through = if end == some.len() { through } else { some[end - 1].position };
            match self.transact(&some[..end], through).await? {
                Transacted::Passed(passed) => return Ok((passed, failed.filter(|_| passed == end))),
                Transacted::Failed(0, error) => return Ok((0, Some(error))),
                // What came before it is kept, so that the failure is of one event.
                Transacted::Failed(index, error) => (end, failed) = (index, Some(error)),
            }
        }
    }

    /// One transaction: the events' changes, and the checkpoint.
    async fn transact(&mut self, some: &[Due<P::Events>], through: Position) -> Result<Transacted, Halt> {
        let began = Instant::now();
        let mut tx = self.db().begin(self.name()).await?;
        let mut passed = 0;
        for (index, due) in some.iter().enumerate() {
            if 0 < index && self.shared().options.lease / 4 < began.elapsed() {
                break;
            }
            if let Err(error) = self.apply_one(&mut tx, due).await? {
                return Ok(Transacted::Failed(index, error));
            }
            passed = index + 1;
        }
        let through = if passed == some.len() { through } else { some[passed - 1].position };
        let next = self.through(through, passed);
        self.advance(&mut tx, next.clone()).await?;
        self.commit(tx, next).await?;
        for due in &some[..passed] {
            self.parked.entry(due.key.clone()).and_modify(|parked| *parked += 1);
        }
        Ok(Transacted::Passed(passed))
    }

    async fn apply_one(&self, tx: &mut TxOf<P>, due: &Due<P::Events>) -> Result<Result<(), String>, Halt> {
        if self.parked.contains_key(&due.key) {
            self.park(tx, &self.behind(due).await?).await?;
            return Ok(Ok(()));
        }
        match &due.event {
            Ok(event) => {
                let applied = guarded(self.shared().projection.apply(tx, event));
                match tokio::time::timeout(APPLY_MIN.max(self.shared().options.lease), applied).await {
                    Ok(applied) => self.judged(applied),
                    Err(_late) => Err(StoreError::new(StoreErrorKind::Unavailable, "an event's changes take too long").into()),
                }
            }
            Err(unreadable) => Ok(Err(unreadable.clone())),
        }
    }

    /// Deals with an event that failed once, as the policy says; then it is passed.
    async fn settle(&mut self, due: &Due<P::Events>, mut error: String) -> Result<(), Halt> {
        let options = &self.shared().options;
        let policy = if self.model.phase == super::Phase::Filling { options.while_rebuilding } else { options.on_failure };
        let mut tries = 1;
        while let Some(wait) = policy.backoff().after(tries) {
            self.show(Activity::Retrying(self.failure(due, &error, tries).await?), None);
            self.wait(wait).await?;
            error = match self.again(due).await? {
                None => return Ok(()),
                Some(error) => error,
            };
            tries += 1;
        }
        if !matches!(policy, OnFailure::Park(_)) {
            return Err(self.stop(self.failure(due, &error, tries).await?).await);
        }
        let parked = self.parked_event(due, error, tries).await?;
        let mut tx = self.db().begin(self.name()).await?;
        self.park(&mut tx, &parked).await?;
        let next = self.through(due.position, 1);
        self.advance(&mut tx, next.clone()).await?;
        self.commit(tx, next).await?;
        *self.parked.entry(due.key.clone()).or_default() += 1;
        Ok(())
    }

    /// One event, once more; `None` where it is passed now.
    async fn again(&mut self, due: &Due<P::Events>) -> Result<Option<String>, Halt> {
        if let Err(error) = self.deliver_one(due).await? {
            return Ok(Some(error));
        }
        match self.transact(std::slice::from_ref(due), due.position).await? {
            Transacted::Passed(_) => Ok(None),
            Transacted::Failed(_, error) => Ok(Some(error)),
        }
    }

    /// An outcome of the projection's: its own failures are values, those of the database halt.
    pub(crate) fn judged(&self, outcome: Result<(), crate::HandlerError>) -> Result<Result<(), String>, Halt> {
        match outcome {
            Err(error) if error.is::<Unavailable>() || P::Db::is_transient(&*error) => {
                Err(StoreError::new(StoreErrorKind::Unavailable, text(&error)).into())
            }
            outcome => Ok(outcome.map_err(|error| text(&error))),
        }
    }

    /// What is to be said of an event that failed so often.
    pub(crate) async fn failure(&self, due: &Due<P::Events>, error: &str, tries: u32) -> Result<Failure, Halt> {
        let failed_at = self.db().now().await?;
        Ok(Failure { position: due.position, event_id: due.id, error: error.to_owned(), tries, failed_at })
    }

    /// The event, set aside for a failure of its own.
    pub(crate) async fn parked_event(&self, due: &Due<P::Events>, error: String, tries: u32) -> Result<ParkedEvent, Halt> {
        let (partition, position, event_id, key) = (self.partition(), due.position, due.id, due.key.clone());
        let parked_at = self.db().now().await?;
        Ok(ParkedEvent { partition, position, event_id, key, error, tries, applied: false, parked_at })
    }

    /// The event, set aside behind another.
    pub(crate) async fn behind(&self, due: &Due<P::Events>) -> Result<ParkedEvent, Halt> {
        self.parked_event(due, String::new(), 0).await
    }

    /// The record of this partition when everything up to a position is handled.
    fn through(&self, through: Position, events: usize) -> PartitionRecord {
        let record = &self.record.value;
        let checkpoint = through.get();
        let delivered = if !P::DELIVERS || self.delivers() { checkpoint } else { record.delivered };
        PartitionRecord { checkpoint, delivered, events: record.events + events as u64, token: self.token }
    }

    /// Whether events have their effects as they are passed. Before its time as the live one, and after it, a read model has
    /// none; and what its predecessor left undone comes first.
    fn delivers(&self) -> bool {
        P::DELIVERS && self.is_live() && self.record.value.delivered == self.record.value.checkpoint
    }

    /// The most events of a batch.
    fn at_once(&self) -> usize {
        // A fourth of a second's worth, so that a pause or a shutdown need not wait.
        self.model.events_per_second.map_or(usize::MAX, |limit| (limit as usize / 4).max(1))
    }

    async fn throttle(&mut self, passed: usize, began: Instant) -> Result<(), Halt> {
        let Some(limit) = self.model.events_per_second else { return Ok(()) };
        let time = std::time::Duration::from_secs_f64(passed as f64 / f64::from(limit.max(1)));
        self.wait(time.saturating_sub(began.elapsed())).await
    }
}
