//! A repository: the aggregates of one type, loaded, decided and recorded.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

use crate::aggregate::{self, Aggregate};
use crate::decide::ATTEMPTS_MAX;
use crate::snapshot::{Snapshots, SnapshotsIn, Taken};
use crate::{
    AggregateModel, Append, AppendError, Appended, AsOf, CodecError, Decide, DecideError, Decided, Draft, Event, EventId,
    Expected, LoadError, Log, Metadata, NameError, Position, Range, Read, RecordedEvent, Scope, Selector, Snapshot,
    SnapshotStore, StreamName, Version, Versions,
};

/// The aggregates of one type, in a [`Log`].
pub struct Repository<A: Aggregate> {
    log: Log,
    snapshots: Option<Arc<dyn Snapshots<A>>>,
}

/// An aggregate as it is loaded.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Loaded<A> {
    /// What its events add up to.
    pub state: A,
    /// The version of its stream: how many events that is.
    pub version: Version,
    /// The position that it is the state at: every event of the stream up to here is in it.
    pub position: Position,
    /// The version of the snapshot that it was loaded from; [`Version::EMPTY`] where it was made from the events alone.
    pub snapshot: Version,
    /// The last event in it.
    last: Option<(Position, EventId)>,
}

impl<A: Aggregate> Repository<A> {
    pub(crate) fn new(log: Log) -> Self {
        Self { log, snapshots: None }
    }

    /// The repository with metadata on every event that it records: see [`Log::with`].
    #[must_use]
    pub fn with(&self, metadata: Metadata) -> Self {
        Self { log: self.log.with(metadata), snapshots: self.snapshots.clone() }
    }

    /// The repository with snapshots: loading begins at the last one, and every [`Snapshot::EVERY`] events a new one is taken.
    ///
    /// A snapshot is saved after the append and outside it. One that cannot be read, of another [`Snapshot::SCHEMA`] or of
    /// another history than the stream's (after a restored backup, say) is not used.
    #[must_use]
    pub fn with_snapshots(&self, snapshots: impl SnapshotStore) -> Self
    where
        A: Snapshot,
    {
        Self { log: self.log.clone(), snapshots: Some(Arc::new(SnapshotsIn(snapshots))) }
    }

    /// The stream of an aggregate: its category, `-`, its id.
    ///
    /// # Errors
    /// [`NameError`] where the id makes no stream name.
    pub fn stream(id: &A::Id) -> Result<StreamName, NameError> {
        aggregate::stream::<A>(id)
    }

    /// The aggregate as a part of a boundary: see [`Log::decide`](crate::Log::decide).
    pub fn model(&self, id: &A::Id) -> AggregateModel<A> {
        AggregateModel::new(id.clone())
    }

    /// The aggregate as it is now; one without events is at [`Version::EMPTY`].
    ///
    /// # Errors
    /// [`LoadError`] where the id makes no stream name, an event cannot be read, or the store fails.
    pub async fn load(&self, id: &A::Id) -> Result<Loaded<A>, LoadError> {
        self.load_stream(&Self::stream(id)?).await
    }

    /// The aggregate as it was, made from the events alone.
    ///
    /// # Errors
    /// As [`Repository::load`].
    pub async fn load_as_of(&self, id: &A::Id, as_of: AsOf) -> Result<Loaded<A>, LoadError> {
        let scope = Scope::Stream(Self::stream(id)?, as_of.versions());
        let mut pages = self.log.read(Read::new(Selector::from(scope).into()).range(as_of.range()));
        let mut loaded = Loaded::new();
        while let Some(page) = pages.next().await? {
            for event in page.events {
                if !as_of.includes(&event) {
                    return Ok(loaded);
                }
                loaded.apply(&event)?;
            }
        }
        Ok(loaded)
    }

    /// Loads the aggregate, decides, and records what was decided; where another writer gets there first, all of it again, up to
    /// [`ATTEMPTS_MAX`] times. The decision is pure: see [`Decide`].
    ///
    /// # Errors
    /// [`DecideError::Rejected`] with the decision's own error; or why the decision could not be made, or not be recorded.
    pub async fn decide<E>(
        &self,
        id: &A::Id,
        mut decide: impl FnMut(&A) -> Result<Vec<A::Event>, E>,
    ) -> Result<Decided<A::Event>, DecideError<E>> {
        let stream = Self::stream(id)?;
        let mut loaded = self.load_stream(&stream).await?;
        let mut attempts = 1;
        loop {
            if let Some(recorded) = self.log.recorded_once().await? {
                return Ok(decided_before(&recorded)?);
            }
            let events = decide(&loaded.state).map_err(DecideError::Rejected)?;
            if events.is_empty() {
                return Ok(Decided { events, version: loaded.version, appended: None, snapshot_error: None });
            }
            let drafts = events.iter().map(|event| Draft::of::<A>(id, event).into_new_event());
            let append = Append::new(drafts.collect::<Result<_, _>>()?).expect(stream.clone(), Expected::Exact(loaded.version));
            match self.log.append(append).await {
                Ok(appended) => return Ok(self.decided(&stream, loaded, events, appended).await),
                Err(AppendError::Conflict(_) | AppendError::IdTaken { .. }) if attempts < ATTEMPTS_MAX => {
                    self.read_on(&stream, &mut loaded).await?;
                }
                Err(error) => return Err(DecideError::of_append(error, attempts)),
            }
            attempts += 1;
        }
    }

    /// [`Repository::decide`] for a command that is data.
    ///
    /// # Errors
    /// As [`Repository::decide`].
    pub async fn execute<C>(&self, id: &A::Id, command: C) -> Result<Decided<A::Event>, DecideError<A::Rejection>>
    where
        A: Decide<C>,
        C: Clone,
    {
        self.decide(id, |aggregate| aggregate.decide(command.clone())).await
    }

    async fn load_stream(&self, stream: &StreamName) -> Result<Loaded<A>, LoadError> {
        if let Some(snapshots) = &self.snapshots
            && let Some(taken) = snapshots.find(stream).await
            && let Some(loaded) = self.load_from(stream, taken).await?
        {
            return Ok(loaded);
        }
        let mut loaded = Loaded::new();
        self.read_on(stream, &mut loaded).await?;
        Ok(loaded)
    }

    /// The aggregate from a snapshot on; `None` where the stream does not have the event that the snapshot was taken at.
    async fn load_from(&self, stream: &StreamName, taken: Taken<A>) -> Result<Option<Loaded<A>>, LoadError> {
        let Taken { state, version, position, event_id } = taken;
        let mut loaded = Loaded { state, version, position, snapshot: version, last: Some((position, event_id)) };
        // The event that the snapshot was taken at is read again, to see that it is the same.
        let range = Range::after(position.previous());
        let mut pages = self.log.read(read_stream(stream, version.previous()).range(range));
        let mut same = false;
        while let Some(page) = pages.next().await? {
            for event in &page.events {
                if same {
                    loaded.apply(event)?;
                } else if event.version == version && event.id == event_id {
                    same = true;
                } else {
                    return Ok(None);
                }
            }
            loaded.position = loaded.position.max(page.through(range));
        }
        Ok(same.then_some(loaded))
    }

    /// Applies what happened since.
    async fn read_on(&self, stream: &StreamName, loaded: &mut Loaded<A>) -> Result<(), LoadError> {
        let range = Range::after(loaded.position);
        let mut pages = self.log.read(read_stream(stream, loaded.version).range(range));
        while let Some(page) = pages.next().await? {
            page.events.iter().try_for_each(|event| loaded.apply(event))?;
            loaded.position = page.through(range);
        }
        Ok(())
    }

    async fn decided(
        &self,
        stream: &StreamName,
        loaded: Loaded<A>,
        events: Vec<A::Event>,
        appended: Appended,
    ) -> Decided<A::Event> {
        let version = appended.versions.first().map_or(loaded.version, |(_, version)| *version);
        let snapshots = self.snapshots.as_ref().filter(|snapshots| snapshots.due(loaded.snapshot, version));
        let snapshot_error = match snapshots {
            Some(snapshots) => self.keep(stream, loaded, &**snapshots).await.err(),
            None => None,
        };
        Decided { events, version, appended: Some(appended), snapshot_error }
    }

    /// Saves a snapshot of what is recorded, read back as it is stored.
    async fn keep(
        &self,
        stream: &StreamName,
        mut loaded: Loaded<A>,
        snapshots: &dyn Snapshots<A>,
    ) -> Result<(), Box<dyn Error + Send + Sync>> {
        self.read_on(stream, &mut loaded).await?;
        let Loaded { state, version, last: Some((position, event_id)), .. } = loaded else { return Ok(()) };
        Ok(snapshots.save(stream, &Taken { state, version, position, event_id }).await?)
    }
}

/// What a decision led to that was recorded before.
fn decided_before<E: Event>(recorded: &[RecordedEvent]) -> Result<Decided<E>, CodecError> {
    let events = recorded.iter().map(RecordedEvent::decode).filter_map(Result::transpose).collect::<Result<_, _>>()?;
    let version = recorded.last().map(|last| last.version).unwrap_or_default();
    Ok(Decided { events, version, appended: Some(Appended::of(recorded)), snapshot_error: None })
}

/// What a stream has after a version.
fn read_stream(stream: &StreamName, after: Version) -> Read {
    let versions = Versions { after, through: Version::MAX };
    Read::new(Selector::from(Scope::Stream(stream.clone(), versions)).into())
}

impl<A: Aggregate> Loaded<A> {
    fn new() -> Self {
        Self { state: A::default(), version: Version::EMPTY, position: Position::START, snapshot: Version::EMPTY, last: None }
    }

    fn apply(&mut self, event: &RecordedEvent) -> Result<(), CodecError> {
        aggregate::apply(&mut self.state, event)?;
        self.version = event.version;
        self.position = event.position;
        self.last = Some((event.position, event.id));
        Ok(())
    }
}

impl<A: Aggregate> Clone for Repository<A> {
    fn clone(&self) -> Self {
        Self { log: self.log.clone(), snapshots: self.snapshots.clone() }
    }
}

impl<A: Aggregate> fmt::Debug for Repository<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Repository").field("category", &A::CATEGORY).field("snapshots", &self.snapshots.is_some()).finish()
    }
}
