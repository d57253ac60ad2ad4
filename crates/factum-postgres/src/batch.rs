//! A batch: appends that go into one call, none of which depends on what another of them records.

use std::collections::HashSet;

use factum::{
    Append, AppendError, Appended, Conflict, ConsumerName, EventId, Expected, Position, Query, Range, RecordedEvent, Scope,
    Selector, StoreError, StoreErrorKind, StreamName, Timestamp, Version,
};
use sqlx::Row;
use sqlx::postgres::{PgArguments, PgConnection, PgRow, Postgres};
use sqlx::query::Query as Statement;
use uuid::Uuid;

use crate::rows::{bigint, correlation_key, json, metadata_json};

/// The most appends in a call.
const APPENDS_MAX: usize = 512;
/// After this many events no more appends are taken in.
const EVENTS: usize = 10_000;
/// After this many bytes of data.
const BYTES: usize = 16 << 20;

/// What a call says beside its appends.
pub(crate) struct Call {
    pub(crate) log: i32,
    /// The time, if it is not the database's.
    pub(crate) now: Option<Timestamp>,
    /// The read models that are changed in the same transaction.
    pub(crate) inline: Vec<String>,
}

/// Appends that are called together.
#[derive(Default)]
pub(crate) struct Batch {
    appends: Vec<Append>,
    written: HashSet<StreamName>,
    ids: HashSet<EventId>,
    consumers: HashSet<ConsumerName>,
    events: usize,
    bytes: usize,
}

impl Batch {
    /// A batch of one.
    pub(crate) fn of(append: Append) -> Self {
        let mut batch = Self::default();
        batch.push(append);
        batch
    }

    /// Whether no other append is to be looked at.
    pub(crate) fn is_full(&self) -> bool {
        APPENDS_MAX <= self.appends.len() || EVENTS <= self.events || BYTES <= self.bytes
    }

    /// Whether the append can be called with those that are here: what they record must change nothing for it.
    pub(crate) fn takes(&self, append: &Append) -> bool {
        let expects = |(stream, expected): &(StreamName, Expected)| *expected != Expected::Any && self.written.contains(stream);
        self.events + append.events.len() <= EVENTS.max(append.events.len())
            && !append.expected.iter().any(expects)
            && !append.events.iter().any(|event| self.ids.contains(&event.id))
            && !append.consumed.as_ref().is_some_and(|consumed| self.consumers.contains(&consumed.consumer))
            && !append.condition.as_ref().is_some_and(|condition| self.selects(&condition.query))
    }

    fn selects(&self, query: &Query) -> bool {
        self.appends.iter().flat_map(|append| &append.events).any(|event| {
            // Its version is known later: whether a scope of versions has it is, too.
            let recorded = RecordedEvent::record(event.clone(), Position::MAX, Version::MAX, Timestamp::from_micros(0));
            query.selectors.iter().any(|selector| any_version(selector).selects(&recorded))
        })
    }

    pub(crate) fn push(&mut self, append: Append) {
        self.events += append.events.len();
        self.bytes += append.events.iter().map(|event| event.payload.data.len()).sum::<usize>();
        self.written.extend(append.events.iter().map(|event| event.stream.clone()));
        self.ids.extend(append.events.iter().map(|event| event.id));
        self.consumers.extend(append.consumed.iter().map(|consumed| consumed.consumer.clone()));
        self.appends.push(append);
    }

    pub(crate) fn len(&self) -> usize {
        self.appends.len()
    }

    pub(crate) fn into_appends(self) -> Vec<Append> {
        self.appends
    }

    /// Calls the function, in the connection's transaction if it is in one.
    pub(crate) async fn call(&self, connection: &mut PgConnection, call: &Call) -> sqlx::Result<Vec<PgRow>> {
        self.statement(call).fetch_all(connection).await
    }

    fn statement(&self, call: &Call) -> Statement<'_, Postgres, PgArguments> {
        let events: Vec<_> = numbered(&self.appends, |append| append.events.iter());
        let expected: Vec<_> = numbered(&self.appends, |append| append.expected.iter());
        let conditions: Vec<_> = numbered(&self.appends, |append| {
            append
                .condition
                .iter()
                .flat_map(|condition| condition.query.selectors.iter().map(move |selector| (condition, selector)))
        });
        let consumed: Vec<_> = numbered(&self.appends, |append| append.consumed.iter());
        let empty: Vec<i32> =
            (1..).zip(&self.appends).filter(|(_, append)| append.events.is_empty()).map(|(number, _)| number).collect();
        let statement = sqlx::query(CALL).bind(call.log).bind(call.now.map(Timestamp::as_micros)).bind(empty);
        let statement = statement
            .bind(column(&events, |(append, _)| *append))
            .bind(column(&events, |(_, event)| event.id.uuid()))
            .bind(column(&events, |(_, event)| event.stream.as_str()))
            .bind(column(&events, |(_, event)| StreamName::category_of(&event.stream)))
            .bind(column(&events, |(_, event)| event.event_type.as_str()))
            .bind(column(&events, |(_, event)| i64::from(event.schema)))
            .bind(column(&events, |(_, event)| lines(&event.tags)))
            .bind(column(&events, |(_, event)| event.metadata.correlation_id.as_deref().map(correlation_key)))
            .bind(column(&events, |(_, event)| event.metadata.causation_id.map(EventId::uuid)))
            .bind(column(&events, |(_, event)| metadata_json(&event.metadata)))
            .bind(column(&events, |(_, event)| {
                (!event.payload.content_type.is_json()).then(|| event.payload.content_type.as_str())
            }))
            .bind(column(&events, |(_, event)| json(event)))
            .bind(column(&events, |(_, event)| json(event).is_none().then(|| &event.payload.data[..])))
            .bind(column(&events, |(_, event)| (event.payload.data.len() + event.metadata.text_bytes()) as i32));
        let statement = statement
            .bind(column(&expected, |(append, _)| *append))
            .bind(column(&expected, |(_, (stream, _))| stream.as_str()))
            .bind(column(&expected, |(_, (_, expected))| version(*expected)));
        let scopes: Vec<Scoped<'_>> = conditions.iter().map(|(_, (_, selector))| Scoped::of(&selector.scope)).collect();
        let statement = statement
            .bind(column(&conditions, |(append, _)| *append))
            .bind(column(&conditions, |(_, (condition, _))| bigint(condition.after.get())))
            .bind(column(&conditions, |(_, (_, selector))| lines(&selector.event_types)))
            .bind(column(&conditions, |(_, (_, selector))| lines(&selector.tags)))
            .bind(column(&scopes, |scope| scope.kind))
            .bind(column(&scopes, |scope| scope.text))
            .bind(column(&scopes, |scope| scope.uuid))
            .bind(column(&scopes, |scope| scope.after))
            .bind(column(&scopes, |scope| scope.through));
        statement
            .bind(column(&consumed, |(append, _)| *append))
            .bind(column(&consumed, |(_, consumed)| consumed.consumer.as_str()))
            .bind(column(&consumed, |(_, consumed)| consumed.through.to_string()))
            .bind(call.inline.clone())
    }

    /// The events that the call has recorded now, in the order of their positions.
    pub(crate) fn recorded(&self, rows: &[PgRow]) -> sqlx::Result<Vec<RecordedEvent>> {
        let mut recorded = Vec::new();
        for row in rows {
            let (number, outcome): (i32, i32) = (row.try_get(0)?, row.try_get(1)?);
            let append = usize::try_from(number - 1).ok().and_then(|index| self.appends.get(index)).ok_or_else(protocol)?;
            if outcome != 0 || append.events.is_empty() {
                continue;
            }
            let (at, versions): (i64, Vec<i64>) = (row.try_get(2)?, row.try_get(4)?);
            let recorded_at = Timestamp::from_micros(row.try_get(5)?);
            recorded.extend(append.events.iter().zip(at..).zip(versions).map(|((event, position), version)| {
                let (position, version) = (Position::new(position.cast_unsigned()), Version::new(version.cast_unsigned()));
                RecordedEvent::record(event.clone(), position, version, recorded_at)
            }));
        }
        recorded.sort_unstable_by_key(|event| event.position);
        Ok(recorded)
    }

    /// What became of each append, in their order.
    pub(crate) fn outcomes(&self, rows: &[PgRow]) -> Vec<Result<Appended, AppendError>> {
        let missing =
            || Err(StoreError::new(StoreErrorKind::UnknownOutcome, "the database did not say what became of it").into());
        let mut outcomes: Vec<Result<Appended, AppendError>> = self.appends.iter().map(|_| missing()).collect();
        for row in rows {
            match self.outcome(row) {
                Ok((append, outcome)) => outcomes[append] = outcome,
                Err(error) => outcomes.fill_with(|| {
                    Err(StoreError::new(StoreErrorKind::UnknownOutcome, format!("the answer cannot be read: {error}")).into())
                }),
            }
        }
        outcomes
    }

    fn outcome(&self, row: &PgRow) -> sqlx::Result<(usize, Result<Appended, AppendError>)> {
        let number = row.try_get::<i32, _>(0)? as usize - 1;
        let append = self.appends.get(number).ok_or_else(|| sqlx::Error::Protocol(format!("there is no append {number}")))?;
        let at = row.try_get::<i64, _>(2)?.cast_unsigned();
        let position = Position::new(at);
        let outcome = match row.try_get::<i32, _>(1)? {
            0 | 1 => Ok(appended(append, position, &row.try_get::<Vec<i64>, _>(4)?, row.try_get(5)?)),
            2 => {
                let id: String = row.try_get(3)?;
                let id = append.events.iter().map(|event| event.id).find(|event| event.to_string() == id);
                Err(AppendError::IdTaken { id: id.unwrap_or_else(EventId::new), position })
            }
            3 => {
                // The expectations of all appends are numbered together, from 1.
                let ordinal: usize = row.try_get::<String, _>(3)?.parse().map_err(|_| protocol())?;
                let before: usize = self.appends[..number].iter().map(|append| append.expected.len()).sum();
                let (stream, expected) = append.expected.get(ordinal - 1 - before).ok_or_else(protocol)?.clone();
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
        };
        Ok((number, outcome))
    }
}

/// The parameters are those of `factum.append`, in their order.
const CALL: &str = "SELECT append, outcome, at, detail, versions, recorded_at FROM factum.append(
    $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24, $25, $26,
    $27, $28, $29, $30, $31, $32, $33)";

fn protocol() -> sqlx::Error {
    sqlx::Error::Protocol("the database's answer fits no append".to_owned())
}

/// The things of each append, with its number, counted from 1.
fn numbered<'a, T, I: Iterator<Item = T>>(appends: &'a [Append], things: impl Fn(&'a Append) -> I) -> Vec<(i32, T)> {
    (1..).zip(appends).flat_map(|(number, append)| things(append).map(move |thing| (number, thing))).collect()
}

fn column<'a, T, C>(rows: &'a [T], value: impl Fn(&'a T) -> C) -> Vec<C> {
    rows.iter().map(value).collect()
}

/// Names, one a line: a name has no line break. `None` where there are none.
pub(crate) fn lines<N: AsRef<str>>(names: &[N]) -> Option<String> {
    (!names.is_empty()).then(|| names.iter().map(AsRef::as_ref).collect::<Vec<_>>().join("\n"))
}

fn version(expected: Expected) -> i64 {
    match expected {
        Expected::Exact(version) => bigint(version.get()),
        Expected::Exists => -1,
        Expected::Any => -2,
    }
}

/// A scope as the function takes it.
pub(crate) struct Scoped<'a> {
    pub(crate) kind: i32,
    pub(crate) text: Option<&'a str>,
    pub(crate) uuid: Option<Uuid>,
    pub(crate) after: i64,
    through: i64,
}

impl<'a> Scoped<'a> {
    pub(crate) fn of(scope: &'a Scope) -> Self {
        let of = |kind, text, uuid| Self { kind, text, uuid, after: 0, through: i64::MAX };
        match scope {
            Scope::Stream(stream, versions) => Self {
                after: bigint(versions.after.get()),
                through: bigint(versions.through.get()),
                ..of(1, Some(stream.as_str()), None)
            },
            Scope::Category(category) => of(2, Some(category.as_str()), None),
            Scope::Correlation(id) => of(3, None, Some(correlation_key(id))),
            Scope::CausedBy(id) => of(4, None, Some(id.uuid())),
            Scope::Event(id) => of(5, None, Some(id.uuid())),
            _ => of(0, None, None),
        }
    }
}

fn any_version(selector: &Selector) -> Selector {
    match &selector.scope {
        Scope::Stream(stream, _) => Selector { scope: Selector::stream(stream.clone()).scope, ..selector.clone() },
        _ => selector.clone(),
    }
}

/// What an append is answered with whose first event is at a position, or that has none and was made at that one.
fn appended(append: &Append, at: Position, event_versions: &[i64], recorded_at: Option<i64>) -> Appended {
    let mut versions: Vec<(StreamName, Version)> = Vec::new();
    for (event, version) in append.events.iter().zip(event_versions) {
        let version = Version::new(version.cast_unsigned());
        match versions.iter_mut().find(|(stream, _)| *stream == event.stream) {
            Some(there) => there.1 = version,
            None => versions.push((event.stream.clone(), version)),
        }
    }
    let after = if append.events.is_empty() { at } else { at.previous() };
    let through = Position::new(after.get() + append.events.len() as u64);
    Appended { positions: Range { after, through }, versions, recorded_at: recorded_at.map(Timestamp::from_micros) }
}
