//! A consumer group: members share what a query selects, and answer for each event.

mod member;
mod run;
mod state;
mod window;

use std::collections::BTreeSet;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

pub use member::Member;
use state::{GroupEvent, GroupState, Settings};

use crate::{
    Append, AppendError, Backoff, Category, ConsumerName, EventType, Expected, Log, NameError, NewEvent, Payload, Position,
    Query, Read, ReadStreams, RecordedEvent, Scope, Store, StoreError, StreamName, Timestamp, Version, Versions,
};

/// How a group hands events out.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct GroupSettings {
    /// Which events. Those of the system's own streams are left out, unless a scope of it names them.
    pub query: Query,
    /// After which position.
    pub after: Position,
    /// Into how many partitions the streams are divided, counted from 1: so many members can share the work. 16 by default.
    pub partitions: u32,
    /// When an event that failed is delivered again, and after how many tries it is parked. [`Backoff::SHORT`] by default.
    pub backoff: Backoff,
    /// A member that nothing is heard of for this long gives its work back. 30 s by default.
    pub member_timeout: Duration,
    /// Whether later events of a stream wait, parked, behind one that is parked; otherwise they pass it. True by default.
    pub park_stream: bool,
    /// The most events that a member has in hand, counted from 1. 256 by default.
    pub in_flight: usize,
}

impl GroupSettings {
    /// Of what the query selects, from the start.
    pub fn new(query: Query) -> Self {
        Self {
            query,
            after: Position::START,
            partitions: 16,
            backoff: Backoff::SHORT,
            member_timeout: Duration::from_secs(30),
            park_stream: true,
            in_flight: 256,
        }
    }

    /// After this position.
    #[must_use]
    pub fn after(mut self, position: Position) -> Self {
        self.after = position;
        self
    }

    /// Into so many partitions.
    #[must_use]
    pub fn partitions(mut self, partitions: u32) -> Self {
        self.partitions = partitions;
        self
    }

    /// With this back-off.
    #[must_use]
    pub fn backoff(mut self, backoff: Backoff) -> Self {
        self.backoff = backoff;
        self
    }

    /// With this time after which a member counts as gone.
    #[must_use]
    pub fn member_timeout(mut self, timeout: Duration) -> Self {
        self.member_timeout = timeout;
        self
    }

    /// Whether a parked event holds its stream back.
    #[must_use]
    pub fn park_stream(mut self, park_stream: bool) -> Self {
        self.park_stream = park_stream;
        self
    }
}

/// An event, handed out to a member that answers for it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Delivery {
    /// The event.
    pub event: RecordedEvent,
    /// Which try this is, counted from 1, by this member.
    pub attempt: u32,
    /// Whether it was parked, and is delivered again.
    pub replayed: bool,
}

/// An event that was set aside.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ParkedDelivery {
    /// Where it is.
    pub position: Position,
    /// Its stream.
    pub stream: StreamName,
    /// What was said of it; empty where it only waits behind another.
    pub error: String,
    /// How often it was tried; 0 where it only waits behind another.
    pub tries: u32,
    /// When it was parked.
    pub parked_at: Timestamp,
}

/// How a group stands.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct GroupStatus {
    /// Its settings.
    pub settings: GroupSettings,
    /// Its members, in the order in which they joined, with their partitions.
    pub members: Vec<(String, BTreeSet<u32>)>,
    /// Everything up to here is answered for, in each partition.
    pub checkpoints: Vec<Position>,
    /// The head of the store.
    pub head: Position,
    /// What is parked, by position.
    pub parked: Vec<ParkedDelivery>,
}

impl GroupStatus {
    /// The lowest position that is not answered for yet lies after this one.
    pub fn checkpoint(&self) -> Position {
        self.checkpoints.iter().min().copied().unwrap_or_default()
    }

    /// How many positions lie between the checkpoint and the head, whether they are the group's or not.
    pub fn lag_events(&self) -> u64 {
        self.head.get().saturating_sub(self.checkpoint().get())
    }
}

/// Why something is not done with a group.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GroupError {
    /// There is none of that name.
    #[error("there is no group {0}: create it")]
    NotFound(String),
    /// There is one already, with other settings.
    #[error("there is a group {0} with other settings: remove it, or choose another name")]
    Exists(String),
    /// There is no such parked event.
    #[error("no event at {position} is parked in {group}")]
    NotParked {
        /// The group.
        group: String,
        /// Where it would be.
        position: Position,
    },
    /// Others change the group all the time.
    #[error("group {0} was changed by others {CHANGES_MAX} times: try again")]
    Contended(String),
    /// An append of the group's is refused for a reason that no group gives: the store is at fault.
    #[error(transparent)]
    Refused(AppendError),
    /// The name is none.
    #[error(transparent)]
    Name(#[from] NameError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// How often a change of a group is tried against others.
const CHANGES_MAX: u32 = 100;

/// A consumer group of a log: all that there is to it is in the stream `$group-` and its name. Clones are of one group.
#[derive(Debug, Clone)]
pub struct Group {
    log: Log,
    name: String,
    stream: StreamName,
}

impl Log {
    /// The consumer group of a name, there or not.
    ///
    /// # Errors
    /// [`NameError`] where it is no name, or longer than [`Group::NAME_BYTES_MAX`].
    pub fn group(&self, name: &str) -> Result<Group, NameError> {
        crate::name::check("a group's name", name, Group::NAME_BYTES_MAX)?;
        Ok(Group { log: self.clone(), name: name.to_owned(), stream: StreamName::new(format!("{CATEGORY}-{name}"))? })
    }

    /// The groups that there are, in the order in which they were first created.
    ///
    /// # Errors
    /// [`GroupError`] where the store cannot be read.
    pub async fn groups(&self) -> Result<Vec<Group>, GroupError> {
        let category = Some(Category::new(CATEGORY)?);
        let mut read = ReadStreams { category, limit: Read::USUAL_LIMIT, ..ReadStreams::default() };
        let mut groups = Vec::new();
        loop {
            let page = self.store().streams(read.clone()).await?;
            for stream in page.streams {
                let group = self.group(&stream.name.as_str()[CATEGORY.len() + 1..])?;
                if group.state().await?.settings.is_some() {
                    groups.push(group);
                }
            }
            match page.rest {
                Some(rest) => read.after = rest,
                None => return Ok(groups),
            }
        }
    }
}

const CATEGORY: &str = "$group";

impl Group {
    /// The longest name, in bytes: so that with a member's it is one of a consumer.
    pub const NAME_BYTES_MAX: usize = 100;

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Creates it; where it is there with these settings, that is well.
    ///
    /// # Errors
    /// [`GroupError::Exists`] where it is there with others; or the store failed.
    pub async fn create(&self, settings: GroupSettings) -> Result<(), GroupError> {
        let created = Settings::from(&settings);
        self.change(GroupState::default(), |state| match &state.settings {
            None => Ok(Some(GroupEvent::Created(created.clone()))),
            Some(there) if Settings::from(there) == created => Ok(None),
            Some(_) => Err(GroupError::Exists(self.name.clone())),
        })
        .await
        .map(drop)
    }

    /// Creates it, or gives it these settings from now on. The query, the partitions and where it begins stay what they are.
    ///
    /// # Errors
    /// [`GroupError::Exists`] where it is there with others of those; or the store failed.
    pub async fn create_or_change(&self, settings: GroupSettings) -> Result<(), GroupError> {
        let changed = Settings::from(&settings);
        self.change(GroupState::default(), |state| match &state.settings {
            None => Ok(Some(GroupEvent::Created(changed.clone()))),
            Some(there) if Settings::from(there) == changed => Ok(None),
            Some(there) if Settings::from(there).divides_as(&changed) => Ok(Some(GroupEvent::Changed(changed.clone()))),
            Some(_) => Err(GroupError::Exists(self.name.clone())),
        })
        .await
        .map(drop)
    }

    /// Joins it, by a name that no other member has: one that has it is taken for this one, from before.
    ///
    /// # Errors
    /// [`GroupError`] where there is no such group, or the store failed.
    pub async fn join(&self, member: &str, shutdown: CancellationToken) -> Result<Member, GroupError> {
        Member::join(self.clone(), member, shutdown).await
    }

    /// How it stands.
    ///
    /// # Errors
    /// [`GroupError`] where there is no such group, or the store failed.
    pub async fn status(&self) -> Result<GroupStatus, GroupError> {
        let state = self.state().await?;
        let settings = state.settings.clone().ok_or_else(|| GroupError::NotFound(self.name.clone()))?;
        let mut checkpoints = Vec::new();
        for partition in 0..settings.partitions {
            checkpoints.push(self.checkpoint(&state, partition).await?);
        }
        let members = state.members.iter().map(|member| (member.clone(), state.partitions_of(member))).collect();
        let parked = state.parked.values().cloned().collect();
        Ok(GroupStatus { settings, members, checkpoints, head: self.log.head().await?, parked })
    }

    /// Has a parked event delivered again, or all of them: in order, by whoever has its partition.
    ///
    /// # Errors
    /// [`GroupError`] where there is no such group or event, or the store failed.
    pub async fn replay(&self, position: Option<Position>) -> Result<(), GroupError> {
        let asked = GroupEvent::ReplayAsked { position: position.map(Position::get) };
        self.change_parked(position, asked).await
    }

    /// Has a parked event forgotten: it will not be delivered any more.
    ///
    /// # Errors
    /// As [`Group::replay`].
    pub async fn discard(&self, position: Position) -> Result<(), GroupError> {
        self.change_parked(Some(position), GroupEvent::Settled { position: position.get() }).await
    }

    /// Has everything after a position delivered again, and forgets what is parked.
    ///
    /// # Errors
    /// [`GroupError`] where there is no such group, or the store failed.
    pub async fn reset(&self, to: Position) -> Result<(), GroupError> {
        self.change_there(|_| Ok(Some(GroupEvent::Reset { to: to.get() }))).await
    }

    /// Removes it, with what is parked. Its members end.
    ///
    /// # Errors
    /// [`GroupError`] where there is no such group, or the store failed.
    pub async fn remove(&self) -> Result<(), GroupError> {
        self.change_there(|_| Ok(Some(GroupEvent::Removed))).await
    }

    async fn change_parked(&self, position: Option<Position>, event: GroupEvent) -> Result<(), GroupError> {
        self.change_there(|state| match position.filter(|position| !state.parked.contains_key(position)) {
            Some(position) => Err(GroupError::NotParked { group: self.name.clone(), position }),
            None => Ok(Some(event.clone())),
        })
        .await
    }

    async fn change_there(
        &self,
        decide: impl Fn(&GroupState) -> Result<Option<GroupEvent>, GroupError>,
    ) -> Result<(), GroupError> {
        let there = |state: &GroupState| match state.settings {
            Some(_) => decide(state),
            None => Err(GroupError::NotFound(self.name.clone())),
        };
        self.change(GroupState::default(), there).await.map(drop)
    }

    /// Reads on from a state, and records what is decided on it, or decides again on what it has become; the state after it.
    async fn change(
        &self,
        mut state: GroupState,
        decide: impl Fn(&GroupState) -> Result<Option<GroupEvent>, GroupError>,
    ) -> Result<GroupState, GroupError> {
        for _ in 0..CHANGES_MAX {
            self.read_on(&mut state).await?;
            let Some(event) = decide(&state)? else { return Ok(state) };
            match self.record(&state, &event).await {
                Ok(()) => {
                    self.read_on(&mut state).await?;
                    return Ok(state);
                }
                Err(AppendError::Conflict(_)) => {}
                Err(AppendError::Store(error)) => return Err(error.into()),
                Err(refused) => return Err(GroupError::Refused(refused)),
            }
        }
        Err(GroupError::Contended(self.name.clone()))
    }

    /// Records an event, unless the group is no longer as it is known.
    async fn record(&self, state: &GroupState, event: &GroupEvent) -> Result<(), AppendError> {
        let invalid = |error: &dyn std::fmt::Display| StoreError::new(crate::StoreErrorKind::Invalid, error.to_string());
        let data = serde_json::to_vec(event).map_err(|error| invalid(&error))?;
        let mut new = NewEvent::new(self.stream.clone(), "$Group", Payload::json(data)).map_err(|error| invalid(&error))?;
        new.event_type = EventType::new(event.event_type()).map_err(|error| invalid(&error))?;
        let append = Append::new(vec![new]).expect(self.stream.clone(), Expected::Exact(state.version));
        self.log.append(append).await.map(drop)
    }

    async fn state(&self) -> Result<GroupState, GroupError> {
        let mut state = GroupState::default();
        self.read_on(&mut state).await?;
        Ok(state)
    }

    /// Takes in what has happened to the group since; whether anything has.
    async fn read_on(&self, state: &mut GroupState) -> Result<bool, GroupError> {
        let before = state.version;
        let versions = Versions { after: state.version, through: Version::MAX };
        let mut pages =
            self.log.read(Read::new(Query::from(crate::Selector::from(Scope::Stream(self.stream.clone(), versions)))));
        while let Some(page) = pages.next().await? {
            page.events.iter().for_each(|event| state.apply(event));
        }
        Ok(before < state.version)
    }

    /// Everything up to here is answered for in a partition.
    async fn checkpoint(&self, state: &GroupState, partition: u32) -> Result<Position, GroupError> {
        let marked = self.log.store().consumed(self.mark(state.generation, partition)?).await?;
        Ok(marked.max(state.start))
    }

    fn mark(&self, generation: u64, partition: u32) -> Result<ConsumerName, NameError> {
        ConsumerName::new(format!("{}/{generation}/{partition}", self.stream))
    }

    fn heartbeat(&self, member: &str) -> Result<ConsumerName, NameError> {
        ConsumerName::new(format!("{}/member/{member}", self.stream))
    }
}
