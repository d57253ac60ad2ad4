//! What the function that appends says of a batch.

use factum::{Append, AppendError, Appended, Conflict, EventId, Position, Range, RecordedEvent, StreamName, Timestamp, Version};
use sqlx::Row;
use sqlx::postgres::PgRow;

use crate::call::Streams;

/// What became of a batch.
pub(crate) enum Answer {
    /// Each append of it is recorded.
    Recorded(Recorded),
    /// Nothing of it is: these appends, by their indexes, were in the way, and this is what each is answered with.
    Refused(Vec<(usize, Result<Appended, AppendError>)>),
}

/// What makes recorded events of those of a batch.
pub(crate) struct Recorded {
    /// The last position before them, and when it was recorded.
    head: Position,
    head_at: Option<Timestamp>,
    at: Timestamp,
    /// The version of each event.
    versions: Vec<Version>,
}

impl Answer {
    pub(crate) fn read(rows: &[PgRow], appends: &[Append], streams: &Streams<'_>) -> sqlx::Result<Self> {
        let first = rows.first().ok_or_else(protocol)?;
        if first.try_get::<i32, _>(0)? == 0 {
            return Recorded::read(first, streams).map(Self::Recorded);
        }
        let mut refused: Vec<(usize, Result<Appended, AppendError>)> = Vec::new();
        for row in rows {
            let index = row.try_get::<i32, _>(0)? as usize - 1;
            if refused.iter().all(|(other, _)| *other != index) {
                refused.push((index, outcome(row, appends, index)?));
            }
        }
        Ok(Self::Refused(refused))
    }
}

impl Recorded {
    fn read(row: &PgRow, streams: &Streams<'_>) -> sqlx::Result<Self> {
        let before: Option<Vec<i64>> = row.try_get(4)?;
        let before = before.unwrap_or_default();
        if before.len() != streams.len() {
            return Err(protocol());
        }
        let head_at: Option<String> = row.try_get(3)?;
        let head_at = head_at.map(|at| at.parse().map(Timestamp::from_micros)).transpose().map_err(|_| protocol())?;
        Ok(Self {
            head: Position::new(row.try_get::<i64, _>(2)?.cast_unsigned()),
            head_at,
            at: Timestamp::from_micros(row.try_get(5)?),
            versions: streams.of_events().map(|(stream, nth)| Version::new(before[stream].cast_unsigned() + nth)).collect(),
        })
    }

    /// What each append is answered with.
    pub(crate) fn appended(&self, appends: &[Append]) -> Vec<Appended> {
        let (mut after, mut versions) = (self.head, self.versions.iter().copied());
        let mut appended = |append: &Append| {
            if append.events.is_empty() {
                let nothing = Range { after: self.head, through: self.head };
                return Appended { positions: nothing, versions: Vec::new(), recorded_at: self.head_at };
            }
            let of = append.events.len();
            let positions = Range { after, through: Position::new(after.get() + of as u64) };
            after = positions.through;
            let versions = versions_of(append, versions.by_ref().take(of));
            Appended { positions, versions, recorded_at: Some(self.at) }
        };
        appends.iter().map(&mut appended).collect()
    }

    /// The events, in the order of their positions.
    pub(crate) fn events(&self, appends: &[Append]) -> Vec<RecordedEvent> {
        let (mut position, events) = (self.head, appends.iter().flat_map(|append| &append.events));
        let mut recorded = |(event, &version): (&factum::NewEvent, &Version)| {
            position = position.next();
            RecordedEvent::record(event.clone(), position, version, self.at)
        };
        events.zip(&self.versions).map(&mut recorded).collect()
    }
}

/// What an append is answered with that is in the way of the others.
fn outcome(row: &PgRow, appends: &[Append], index: usize) -> sqlx::Result<Result<Appended, AppendError>> {
    let append = appends.get(index).ok_or_else(protocol)?;
    let at = row.try_get::<i64, _>(2)?.cast_unsigned();
    let position = Position::new(at);
    Ok(match row.try_get::<i32, _>(1)? {
        1 => {
            let positions = Range { after: position.previous(), through: Position::new(at + append.events.len() as u64 - 1) };
            let versions: Vec<i64> = row.try_get(4)?;
            let versions = versions.into_iter().map(|version| Version::new(version.cast_unsigned()));
            let recorded_at = row.try_get::<Option<i64>, _>(5)?.map(Timestamp::from_micros);
            Ok(Appended { positions, versions: versions_of(append, versions), recorded_at })
        }
        2 => {
            let id: String = row.try_get(3)?;
            let id = append.events.iter().map(|event| event.id).find(|event| event.to_string() == id);
            Err(AppendError::IdTaken { id: id.unwrap_or_else(EventId::new), position })
        }
        3 => {
            // The expectations of all appends are numbered together, from 1.
            let number: usize = row.try_get::<String, _>(3)?.parse().map_err(|_| protocol())?;
            let expected = appends.iter().flat_map(|append| &append.expected).nth(number - 1).ok_or_else(protocol)?;
            let (stream, expected) = expected.clone();
            Err(Conflict::Stream { stream, expected, actual: Version::new(at) }.into())
        }
        4 => {
            let after = append.condition.as_ref().ok_or_else(protocol)?.after;
            Err(Conflict::Condition { after, actual: position }.into())
        }
        _ => {
            let consumer = append.consumed.as_ref().ok_or_else(protocol)?.consumer.clone();
            let through = row.try_get::<String, _>(3)?.parse().map(Position::new).map_err(|_| protocol())?;
            Err(AppendError::AlreadyConsumed { consumer, through })
        }
    })
}

/// The last version of each stream that an append writes, in the order of its first event there.
fn versions_of(append: &Append, of_events: impl Iterator<Item = Version>) -> Vec<(StreamName, Version)> {
    let mut versions: Vec<(StreamName, Version)> = Vec::new();
    for (event, version) in append.events.iter().zip(of_events) {
        match versions.iter_mut().find(|(stream, _)| *stream == event.stream) {
            Some(there) => there.1 = version,
            None => versions.push((event.stream.clone(), version)),
        }
    }
    versions
}

fn protocol() -> sqlx::Error {
    sqlx::Error::Decode("it fits no append".into())
}
