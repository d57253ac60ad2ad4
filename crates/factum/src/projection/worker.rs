//! A worker: it fills one partition of a read model, for as long as it holds the lease of it.

use std::collections::BTreeMap;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::anchor::{self, Anchor, Found, another_log};
use super::lease::{Claim, LeaseOf, Over};
use super::records::{Failure, Held, LeaseRecord, ModelRecord, ParkedEvent, PartitionRecord, Phase, all, put};
use super::runner::Options;
use super::status::{Activity, PartitionStatus, Status};
use crate::{AnyStore, Position, Projection, Query, ReadDb, ReadModelName, StoreError, StoreErrorKind, Subscription};

/// How often a worker looks for what is asked of it, and for a lease that it does not have: a failover takes so long.
pub(crate) const POLL: Duration = Duration::from_millis(250);

/// How long a worker waits before it begins anew, where something changed under it.
const ANEW: Duration = Duration::from_millis(50);

/// How long a commit that was begun is waited for at a shutdown.
const COMMIT: Duration = Duration::from_secs(5);

/// What all workers of a runner share.
pub(crate) struct Shared<P: Projection> {
    pub(crate) projection: P,
    pub(crate) db: P::Db,
    pub(crate) store: AnyStore,
    pub(crate) query: Query,
    pub(crate) options: Options,
    pub(crate) shutdown: CancellationToken,
    pub(crate) status: watch::Sender<Status>,
}

/// Why a worker does not go on just now.
#[derive(Debug)]
pub(crate) enum Halt {
    Shutdown,
    /// Another holds the partition.
    Standby,
    /// Another holds the partition now, or something changed under it: everything is read again.
    Fenced,
    /// The read model is dropped.
    Gone,
    Stopped(Failure),
    /// The database or the store failed.
    Unavailable(StoreError),
}

impl From<StoreError> for Halt {
    fn from(error: StoreError) -> Self {
        Self::Unavailable(error)
    }
}

/// Fills a partition until it is told to stop, or its read model is gone.
pub(crate) struct Worker<P: Projection> {
    shared: Arc<Shared<P>>,
    model: ReadModelName,
    partition: u32,
    /// Whether it held the lease before: then one of its name that has it is not what it was before a restart.
    has_held: AtomicBool,
    is_committing: AtomicBool,
}

impl<P: Projection> Worker<P> {
    pub(crate) fn new(shared: Arc<Shared<P>>, model: ReadModelName, partition: u32) -> Self {
        Self { shared, model, partition, has_held: AtomicBool::new(false), is_committing: AtomicBool::new(false) }
    }

    pub(crate) async fn run(self) {
        let shutdown = self.shared.shutdown.clone();
        let mut failures = 0;
        loop {
            let began = Instant::now();
            let wait = match self.hold_until_shutdown().await {
                Halt::Shutdown => break,
                Halt::Gone => break self.shared.status.send_modify(|status| status.remove(&self.model, self.partition)),
                Halt::Fenced => ANEW,
                Halt::Standby => {
                    self.activity(Activity::Standby);
                    POLL
                }
                Halt::Stopped(failure) => {
                    self.activity(Activity::Stopped(failure));
                    POLL
                }
                Halt::Unavailable(error) => {
                    // One that comes after a while of work is the first of its kind.
                    failures = if self.shared.options.unavailable.longest < began.elapsed() { 1 } else { failures + 1 };
                    self.activity(Activity::Unavailable(error.to_string()));
                    self.shared.options.unavailable.after(failures).unwrap_or(POLL)
                }
            };
            if shutdown.run_until_cancelled(tokio::time::sleep(wait)).await.is_none() {
                break;
            }
        }
        self.give_back().await;
    }

    /// Whatever it does then is given up, but for a commit: that is waited for.
    async fn hold_until_shutdown(&self) -> Halt {
        let mut hold = pin!(self.hold());
        match self.shared.shutdown.run_until_cancelled(hold.as_mut()).await {
            Some(halt) => halt,
            None => {
                let _ = tokio::time::timeout(COMMIT, self.commit_of(hold)).await;
                Halt::Shutdown
            }
        }
    }

    async fn commit_of(&self, mut hold: Pin<&mut impl Future<Output = Halt>>) {
        std::future::poll_fn(|context| {
            let goes_on = self.is_committing.load(Ordering::SeqCst)
                && hold.as_mut().poll(context).is_pending()
                && self.is_committing.load(Ordering::SeqCst);
            if goes_on { Poll::Pending } else { Poll::Ready(()) }
        })
        .await;
    }

    /// Claims the lease, and fills the partition until something halts it.
    async fn hold(&self) -> Halt {
        match self.claim().await {
            Ok(mut session) => match session.fill().await {
                Ok(never) => match never {},
                Err(halt) => halt,
            },
            Err(halt) => halt,
        }
    }

    async fn claim(&self) -> Result<Session<'_, P>, Halt> {
        let db = &self.shared.db;
        if let Some(failure) = Held::<Failure>::committed(db, &self.model.failure_key(self.partition)).await? {
            return Err(Halt::Stopped(failure.value));
        }
        let is_anchored = self.is_anchored().await?;
        let over = if self.has_held.load(Ordering::SeqCst) { Over::Nobody } else { Over::Namesake };
        let lease = match self.lease().claim(db, over).await? {
            Claim::Claimed(lease) => lease,
            Claim::Gone => return Err(Halt::Gone),
            Claim::Held => return Err(Halt::Standby),
        };
        self.has_held.store(true, Ordering::SeqCst);
        let mut parked = BTreeMap::new();
        for record in all(db, &self.model.parked_in(self.partition)).await? {
            *parked.entry(Held::<ParkedEvent>::of(record)?.value.key).or_default() += 1;
        }
        let model = Held::committed(db, &self.model.model_key()).await?.ok_or(Halt::Gone)?;
        let now = Instant::now();
        Ok(Session {
            worker: self,
            token: lease.token,
            record: lease.partition,
            model: model.value,
            parked,
            is_anchored,
            attend_at: now,
            renew_at: now + self.shared.options.lease / 3,
            rate: Rate { since: now, events: 0, per_second: 0.0 },
            head: Position::START,
        })
    }

    /// Whether the projection knows its log; an error where that is not this one.
    async fn is_anchored(&self) -> Result<bool, StoreError> {
        let (Shared { db, store, .. }, projection) = (&*self.shared, self.model.projection());
        match anchor::find(db, store, projection).await? {
            Found::NoAnchor => Ok(false),
            Found::Anchor => Ok(true),
            Found::Nothing(anchor) => {
                let message = format!("the log ends before position {}, from where {projection} is made", anchor.position);
                Err(StoreError::new(StoreErrorKind::Unavailable, message))
            }
            Found::Another(Anchor { position, event_id }) => {
                Err(StoreError::new(StoreErrorKind::Invalid, another_log(projection, position, event_id)))
            }
        }
    }

    fn lease(&self) -> LeaseOf<'_> {
        let Options { holder, session, lease, .. } = &self.shared.options;
        LeaseOf { model: &self.model, partition: self.partition, holder, session, time: *lease }
    }

    /// On the way out, whatever the state: another need not wait for the lease to end.
    async fn give_back(&self) {
        let options = &self.shared.options;
        let lease = async {
            let key = self.model.lease_key(self.partition);
            match Held::<LeaseRecord>::committed(&self.shared.db, &key).await? {
                Some(held) if held.value.session == options.session => {
                    self.lease().release(&self.shared.db, held.value.token).await
                }
                _ => Ok(()),
            }
        };
        // Where that fails or hangs, the lease ends by itself.
        let _ = tokio::time::timeout(POLL, lease).await;
    }

    /// Shows what it does, beside what is known of it.
    fn activity(&self, activity: Activity) {
        self.shared.status.send_modify(|status| {
            let known = status.partitions.iter().find(|part| part.model == self.model && part.partition == self.partition);
            let known = known.cloned().unwrap_or_else(|| PartitionStatus::of(self.model.clone(), self.partition));
            status.set(PartitionStatus { activity, events_per_second: 0.0, ..known });
        });
    }
}

/// The time during which a worker holds its partition.
pub(crate) struct Session<'a, P: Projection> {
    pub(crate) worker: &'a Worker<P>,
    pub(crate) token: u64,
    /// The partition's record, as this session wrote it last.
    pub(crate) record: Held<PartitionRecord>,
    pub(crate) model: ModelRecord,
    /// How many events are parked, by key.
    pub(crate) parked: BTreeMap<String, u64>,
    /// Whether the projection knows its log, which is this one.
    pub(crate) is_anchored: bool,
    attend_at: Instant,
    renew_at: Instant,
    rate: Rate,
    head: Position,
}

/// How fast it goes.
struct Rate {
    since: Instant,
    events: u64,
    per_second: f64,
}

/// What never comes.
pub(crate) enum Never {}

impl<P: Projection> Session<'_, P> {
    /// Reads and applies, for ever: catching up and following are one loop.
    async fn fill(&mut self) -> Result<Never, Halt> {
        let shared = &*self.worker.shared;
        let (store, query) = (shared.store.clone(), shared.query.clone());
        let mut events = Subscription::new(store, query, self.record.value.checkpoint(), shared.shutdown.clone());
        events = events.batch_limit(shared.options.batch);
        loop {
            self.attend().await?;
            if self.model.paused {
                self.show(Activity::Paused, None);
                tokio::time::sleep(POLL).await;
                continue;
            }
            self.deliver_what_was_left().await?;
            match tokio::time::timeout(POLL, events.next()).await {
                Ok(batch) => self.pass(batch?.ok_or(Halt::Shutdown)?).await?,
                Err(_nothing_new) => self.show(Activity::Following, None),
            }
        }
    }

    /// Does what is due beside reading: renews the lease, and looks for what is asked.
    pub(crate) async fn attend(&mut self) -> Result<(), Halt> {
        let now = Instant::now();
        if now < self.attend_at {
            return Ok(());
        }
        if self.renew_at <= now {
            self.renew().await?;
            self.renew_at = now + self.worker.shared.options.lease / 3;
        }
        self.look().await?;
        self.rate.measure(now);
        self.do_requests().await?;
        self.attend_at = Instant::now() + POLL;
        Ok(())
    }

    /// Reads what its read model is to do.
    pub(crate) async fn look(&mut self) -> Result<(), Halt> {
        let phase = self.model.phase;
        self.model = Held::committed(self.db(), &self.name().model_key()).await?.ok_or(Halt::Gone)?.value;
        // A swap wrote the partition's record too.
        if self.model.phase == phase { Ok(()) } else { Err(Halt::Fenced) }
    }

    pub(crate) async fn renew(&self) -> Result<(), Halt> {
        if self.worker.lease().renew(self.db(), self.token).await? { Ok(()) } else { Err(Halt::Fenced) }
    }

    /// Waits, and attends.
    pub(crate) async fn wait(&mut self, time: Duration) -> Result<(), Halt> {
        let until = Instant::now() + time;
        while Instant::now() < until {
            tokio::time::sleep_until(until.min(Instant::now() + POLL)).await;
            self.attend().await?;
        }
        Ok(())
    }

    /// Writes how far the partition is, in a transaction: whoever no longer holds it is refused here.
    pub(crate) async fn advance(&self, tx: &mut <P::Db as ReadDb>::Tx, next: PartitionRecord) -> Result<(), Halt> {
        if !self.record.replace(self.db(), tx, &next).await? {
            return Err(Halt::Fenced);
        }
        Ok(())
    }

    /// Sees to it that the transaction commits only while this partition is held.
    pub(crate) async fn guard(&self, tx: &mut <P::Db as ReadDb>::Tx) -> Result<(), Halt> {
        self.advance(tx, self.record.value.clone()).await
    }

    /// Commits, to the end though a shutdown comes.
    pub(crate) async fn keep(&self, tx: <P::Db as ReadDb>::Tx) -> Result<(), StoreError> {
        self.worker.is_committing.store(true, Ordering::SeqCst);
        let kept = self.db().commit(tx).await;
        self.worker.is_committing.store(false, Ordering::SeqCst);
        kept
    }

    /// Commits a transaction in which the record was written, and goes by it.
    pub(crate) async fn commit(&mut self, tx: <P::Db as ReadDb>::Tx, next: PartitionRecord) -> Result<(), Halt> {
        self.keep(tx).await?;
        self.rate.events += next.events - self.record.value.events;
        self.record = Held::new(std::mem::take(&mut self.record.key), next);
        Ok(())
    }

    /// Sets an event aside, or keeps what is known of one that is.
    pub(crate) async fn park(&self, tx: &mut <P::Db as ReadDb>::Tx, parked: &ParkedEvent) -> Result<(), Halt> {
        let key = self.name().parked_key(parked.partition, parked.position);
        Ok(put(self.db(), tx, &key, Some(parked)).await?)
    }

    /// Says why it stops, so that it is known everywhere; unless another has gone on in between.
    pub(crate) async fn stop(&self, failure: Failure) -> Halt {
        let written = async {
            let mut tx = self.db().begin(self.name()).await?;
            put(self.db(), &mut tx, &self.name().failure_key(self.partition()), Some(&failure)).await?;
            self.guard(&mut tx).await?;
            Ok(self.keep(tx).await?)
        };
        match written.await {
            Ok(()) => Halt::Stopped(failure),
            Err(halt) => halt,
        }
    }

    pub(crate) fn see(&mut self, head: Position) {
        self.head = head;
    }

    pub(crate) fn show(&self, activity: Activity, waiting: Option<crate::Timestamp>) {
        let record = &self.record.value;
        let status = PartitionStatus {
            activity,
            checkpoint: record.checkpoint(),
            head: self.head.max(record.checkpoint()),
            waiting_since: waiting,
            events: record.events,
            events_per_second: self.rate.per_second,
            ..PartitionStatus::of(self.name().clone(), self.partition())
        };
        self.worker.shared.status.send_modify(|all| all.set(status));
    }

    pub(crate) fn is_live(&self) -> bool {
        self.model.phase == Phase::Live
    }

    pub(crate) fn db(&self) -> &P::Db {
        &self.worker.shared.db
    }

    pub(crate) fn shared(&self) -> &Shared<P> {
        &self.worker.shared
    }

    pub(crate) fn name(&self) -> &ReadModelName {
        &self.worker.model
    }

    pub(crate) fn partition(&self) -> u32 {
        self.worker.partition
    }
}

impl Rate {
    fn measure(&mut self, now: Instant) {
        let seconds = now.duration_since(self.since).as_secs_f64();
        if 0.0 < seconds {
            self.per_second = self.events as f64 / seconds;
            (self.since, self.events) = (now, 0);
        }
    }
}
