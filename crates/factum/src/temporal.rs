//! The past: as of when a state is loaded.

use crate::{Position, Range, RecordedEvent, Timestamp, Version, Versions};

/// As of when an aggregate is loaded. What has not come yet is as it is now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AsOf {
    /// When its stream was at this version.
    Version(Version),
    /// When the store's head was at this position.
    Position(Position),
    /// At this time: the events that the store had recorded by then, this microsecond included.
    Time(Timestamp),
}

/// As of when a boundary is loaded: [`AsOf`] without the version, since a boundary is not a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Moment {
    /// When the store's head was at this position.
    Position(Position),
    /// At this time: the events that the store had recorded by then, this microsecond included.
    Time(Timestamp),
}

impl From<Moment> for AsOf {
    fn from(moment: Moment) -> Self {
        match moment {
            Moment::Position(position) => Self::Position(position),
            Moment::Time(time) => Self::Time(time),
        }
    }
}

impl AsOf {
    pub(crate) fn versions(self) -> Versions {
        match self {
            Self::Version(through) => Versions { after: Version::EMPTY, through },
            Self::Position(_) | Self::Time(_) => Versions::ALL,
        }
    }

    pub(crate) fn range(self) -> Range {
        match self {
            Self::Position(through) => Range::through(through),
            Self::Version(_) | Self::Time(_) => Range::ALL,
        }
    }

    /// Whether the event was recorded by then. Recorded times never go back, so neither was any event after one that was not.
    pub(crate) fn includes(self, event: &RecordedEvent) -> bool {
        match self {
            Self::Version(version) => event.version <= version,
            Self::Position(position) => event.position <= position,
            Self::Time(time) => event.recorded_at <= time,
        }
    }
}
