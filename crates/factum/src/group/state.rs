//! What a group's stream adds up to: its settings, its members, and what is parked.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{GroupSettings, ParkedDelivery};
use crate::{
    Backoff, Category, EventId, Position, Query, RecordedEvent, Scope, Selector, StreamName, Timestamp, Version, Versions,
};

/// What happens to a group. It is stored under `$Group…`, as JSON.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) enum GroupEvent {
    Created(Settings),
    /// It goes by other settings, of the same query and partitions.
    Changed(Settings),
    Joined {
        member: String,
    },
    Left {
        member: String,
    },
    Parked {
        position: u64,
        stream: String,
        error: String,
        tries: u32,
    },
    /// A parked event is to be delivered again; all of them where no position is given.
    ReplayAsked {
        position: Option<u64>,
    },
    /// A parked event was handled, or is to be forgotten.
    Settled {
        position: u64,
    },
    Reset {
        to: u64,
    },
    Removed,
}

impl GroupEvent {
    pub(crate) const fn event_type(&self) -> &'static str {
        match self {
            Self::Created(_) => "$GroupCreated",
            Self::Changed(_) => "$GroupChanged",
            Self::Joined { .. } => "$GroupMemberJoined",
            Self::Left { .. } => "$GroupMemberLeft",
            Self::Parked { .. } => "$GroupEventParked",
            Self::ReplayAsked { .. } => "$GroupReplayAsked",
            Self::Settled { .. } => "$GroupEventSettled",
            Self::Reset { .. } => "$GroupReset",
            Self::Removed => "$GroupRemoved",
        }
    }
}

/// Settings, as they are stored: times in milliseconds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Settings {
    query: Vec<StoredSelector>,
    after: u64,
    partitions: u32,
    first_ms: u64,
    longest_ms: u64,
    tries: u32,
    member_timeout_ms: u64,
    park_stream: bool,
    in_flight: usize,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct StoredSelector {
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    types: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    tags: Vec<String>,
    scope: StoredScope,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum StoredScope {
    Everything,
    Stream { name: String, after: u64, through: u64 },
    Category(String),
    Correlation(String),
    CausedBy(String),
    Event(String),
}

impl From<&Scope> for StoredScope {
    fn from(scope: &Scope) -> Self {
        match scope {
            Scope::Everything => Self::Everything,
            Scope::Stream(name, versions) => {
                Self::Stream { name: name.to_string(), after: versions.after.get(), through: versions.through.get() }
            }
            Scope::Category(category) => Self::Category(category.to_string()),
            Scope::Correlation(id) => Self::Correlation(id.clone()),
            Scope::CausedBy(id) => Self::CausedBy(id.to_string()),
            Scope::Event(id) => Self::Event(id.to_string()),
        }
    }
}

impl StoredScope {
    fn read(&self) -> Option<Scope> {
        Some(match self {
            Self::Everything => Scope::Everything,
            Self::Stream { name, after, through } => {
                let versions = Versions { after: Version::new(*after), through: Version::new(*through) };
                Scope::Stream(StreamName::new(name.clone()).ok()?, versions)
            }
            Self::Category(name) => Scope::Category(Category::new(name.clone()).ok()?),
            Self::Correlation(id) => Scope::Correlation(id.clone()),
            Self::CausedBy(id) => Scope::CausedBy(id.parse::<EventId>().ok()?),
            Self::Event(id) => Scope::Event(id.parse::<EventId>().ok()?),
        })
    }
}

impl StoredSelector {
    fn read(&self) -> Option<Selector> {
        let event_types = self.types.iter().map(|name| name.parse().ok()).collect::<Option<_>>()?;
        let tags = self.tags.iter().map(|tag| tag.parse().ok()).collect::<Option<_>>()?;
        Some(Selector { event_types, tags, scope: self.scope.read()? })
    }
}

impl From<&GroupSettings> for Settings {
    fn from(settings: &GroupSettings) -> Self {
        let selector = |selector: &Selector| StoredSelector {
            types: selector.event_types.iter().map(ToString::to_string).collect(),
            tags: selector.tags.iter().map(ToString::to_string).collect(),
            scope: (&selector.scope).into(),
        };
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        Self {
            query: settings.query.selectors.iter().map(selector).collect(),
            after: settings.after.get(),
            partitions: settings.partitions.max(1),
            first_ms: millis(settings.backoff.first),
            longest_ms: millis(settings.backoff.longest),
            tries: settings.backoff.tries,
            member_timeout_ms: millis(settings.member_timeout),
            park_stream: settings.park_stream,
            in_flight: settings.in_flight.max(1),
        }
    }
}

impl Settings {
    /// Whether a group with the others has the same events in the same partitions.
    pub(crate) fn divides_as(&self, other: &Self) -> bool {
        (&self.query, self.after, self.partitions) == (&other.query, other.after, other.partitions)
    }

    /// `None` where something in them is no name: then they are not this version's.
    fn read(&self) -> Option<GroupSettings> {
        let (first, longest) = (Duration::from_millis(self.first_ms), Duration::from_millis(self.longest_ms));
        Some(GroupSettings {
            query: Query { selectors: self.query.iter().map(StoredSelector::read).collect::<Option<_>>()? },
            after: Position::new(self.after),
            partitions: self.partitions,
            backoff: Backoff { first, longest, tries: self.tries },
            member_timeout: Duration::from_millis(self.member_timeout_ms),
            park_stream: self.park_stream,
            in_flight: self.in_flight,
        })
    }
}

/// A group, as its stream tells it.
#[derive(Debug, Clone, Default)]
pub(crate) struct GroupState {
    pub(crate) version: Version,
    pub(crate) settings: Option<GroupSettings>,
    /// In the order in which they joined.
    pub(crate) members: Vec<String>,
    pub(crate) parked: BTreeMap<Position, ParkedDelivery>,
    /// Parked events that are to be delivered again.
    pub(crate) replayed: BTreeSet<Position>,
    /// How often it was created or reset: each time its checkpoints are counted anew.
    pub(crate) generation: u64,
    pub(crate) start: Position,
}

impl GroupState {
    /// Takes in what stands in the stream next. An event that this build does not know changes nothing.
    pub(crate) fn apply(&mut self, recorded: &RecordedEvent) {
        self.version = recorded.version;
        let Ok(event) = serde_json::from_slice::<GroupEvent>(&recorded.payload.data) else { return };
        match event {
            GroupEvent::Created(settings) => {
                let settings = settings.read();
                self.start = settings.as_ref().map(|settings| settings.after).unwrap_or_default();
                self.settings = settings;
                self.generation += 1;
            }
            GroupEvent::Changed(settings) => self.settings = settings.read(),
            GroupEvent::Joined { member } => self.members.push(member),
            GroupEvent::Left { member } => self.members.retain(|other| *other != member),
            GroupEvent::Parked { position, stream, error, tries } => {
                if let Ok(stream) = StreamName::new(stream) {
                    self.park(Position::new(position), stream, (error, tries), recorded.recorded_at);
                }
            }
            GroupEvent::ReplayAsked { position: Some(position) } => {
                let position = Position::new(position);
                self.replayed.extend(self.parked.contains_key(&position).then_some(position));
            }
            GroupEvent::ReplayAsked { position: None } => self.replayed.extend(self.parked.keys()),
            GroupEvent::Settled { position } => {
                self.parked.remove(&Position::new(position));
                self.replayed.remove(&Position::new(position));
            }
            GroupEvent::Reset { to } => {
                self.start = Position::new(to);
                self.generation += 1;
                self.parked.clear();
                self.replayed.clear();
            }
            GroupEvent::Removed => {
                *self = Self { version: self.version, generation: self.generation, ..Self::default() };
            }
        }
    }

    fn park(&mut self, position: Position, stream: StreamName, (error, tries): (String, u32), parked_at: Timestamp) {
        self.replayed.remove(&position);
        if self.settings.as_ref().is_some_and(|settings| settings.park_stream) {
            // What comes after it in its stream waits behind it again.
            let parked = &self.parked;
            self.replayed.retain(|at| *at < position || parked.get(at).is_none_or(|other| other.stream != stream));
        }
        self.parked.insert(position, ParkedDelivery { position, stream, error, tries, parked_at });
    }

    /// The partitions of a member: each is one member's, and they differ by one at most.
    pub(crate) fn partitions_of(&self, member: &str) -> BTreeSet<u32> {
        let Some(settings) = &self.settings else { return BTreeSet::new() };
        let count = self.members.len() as u32;
        let place = self.members.iter().position(|other| other == member);
        place.map_or_else(BTreeSet::new, |place| (0..settings.partitions).filter(|p| p % count == place as u32).collect())
    }

    /// Whether an event of this stream waits behind one that is parked.
    pub(crate) fn is_parked_behind(&self, stream: &StreamName, position: Position) -> bool {
        self.parked.range(..position).any(|(_, parked)| parked.stream == *stream)
    }
}
