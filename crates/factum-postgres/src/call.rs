//! A call of the function that appends: appends, as its parameters.

use std::collections::HashMap;

use factum::{Append, EventId, Expected, NewEvent, Scope, StreamName, Tag, Timestamp};
use sqlx::postgres::{PgArguments, PgConnection, Postgres};
use uuid::Uuid;

use crate::answer::Answer;
use crate::rows::{bigint, correlation_key, json, metadata_json};

/// What a call says beside its appends.
pub(crate) struct Call {
    pub(crate) log: i32,
    /// The time, if it is not the database's.
    pub(crate) now: Option<Timestamp>,
    /// The read models that are changed in the same transaction.
    pub(crate) inline: Vec<String>,
}

impl Call {
    /// Makes it, in the connection's transaction if it is in one.
    pub(crate) async fn make(&self, appends: &[Append], connection: &mut PgConnection) -> sqlx::Result<Answer> {
        let streams = Streams::of(appends);
        let rows = self.statement(appends, &streams).fetch_all(connection).await?;
        Answer::read(&rows, appends, &streams)
    }

    fn statement<'a>(&self, appends: &'a [Append], streams: &Streams<'a>) -> Statement<'a> {
        let now = self.now.map(Timestamp::as_micros);
        let statement = sqlx::query(APPEND).bind(self.log).bind(now).bind(self.inline.clone());
        let statement = bind_events(streams.bind(statement), appends, streams);
        bind_consumed(bind_conditions(bind_expected(statement, appends, streams), appends), appends)
    }
}

type Statement<'a> = sqlx::query::Query<'a, Postgres, PgArguments>;

/// The parameters are those of `factum.append`, in their order.
const APPEND: &str = "SELECT append, outcome, at, detail, versions, recorded_at FROM factum.append(
    $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24, $25, $26,
    $27, $28, $29, $30, $31, $32, $33, $34, $35, $36, $37, $38, $39)";

/// The streams of a batch: first those that are written, then those of which something is expected alone.
pub(crate) struct Streams<'a> {
    indexes: HashMap<&'a StreamName, usize>,
    names: Vec<&'a StreamName>,
    written: Vec<Written>,
    /// Of each event, its stream's index, and which of that stream's events in the batch it is, counted from 1.
    events: Vec<(usize, i32)>,
}

/// How many events a stream gets, and which of the batch is its first and its last, counted from 1.
struct Written {
    count: i32,
    first: i32,
    last: i32,
}

impl<'a> Streams<'a> {
    fn of(appends: &'a [Append]) -> Self {
        let mut streams = Self { indexes: HashMap::new(), names: Vec::new(), written: Vec::new(), events: Vec::new() };
        for (number, event) in (1..).zip(appends.iter().flat_map(|append| &append.events)) {
            let index = streams.index(&event.stream);
            if index == streams.written.len() {
                streams.written.push(Written { count: 0, first: number, last: number });
            }
            let written = &mut streams.written[index];
            written.count += 1;
            written.last = number;
            streams.events.push((index, written.count));
        }
        for (stream, _) in appends.iter().flat_map(|append| &append.expected) {
            streams.index(stream);
        }
        streams
    }

    /// The index of a stream, which is new where it was not there.
    fn index(&mut self, stream: &'a StreamName) -> usize {
        *self.indexes.entry(stream).or_insert_with(|| {
            self.names.push(stream);
            self.names.len() - 1
        })
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.names.len()
    }

    /// Of each event, its stream's index, and which of that stream's events in the batch it is, counted from 1.
    pub(crate) fn of_events(&self) -> impl Iterator<Item = (usize, u64)> {
        self.events.iter().map(|&(index, nth)| (index, u64::from(nth.unsigned_abs())))
    }

    fn bind(&self, statement: Statement<'a>) -> Statement<'a> {
        let written = &self.names[..self.written.len()];
        statement
            .bind(column(&self.names, |name| name.as_str()))
            .bind(column(written, StreamName::category_of))
            .bind(column(&self.written, |written| written.count))
            .bind(column(&self.written, |written| written.first))
            .bind(column(&self.written, |written| written.last))
    }
}

fn bind_events<'a>(statement: Statement<'a>, appends: &'a [Append], streams: &Streams<'a>) -> Statement<'a> {
    let events = numbered(appends, |append| append.events.iter());
    let tags: Vec<(i32, &Tag)> = (1..).zip(&events).flat_map(|(number, (_, event))| tags(event, number)).collect();
    statement
        .bind(column(&events, |(append, _)| *append))
        .bind(column(&streams.events, |(stream, _)| number(*stream)))
        .bind(column(&streams.events, |(_, nth)| *nth))
        .bind(column(&events, |(_, event)| event.id.uuid()))
        .bind(column(&events, |(_, event)| event.event_type.as_str()))
        .bind(column(&events, |(_, event)| i64::from(event.schema)))
        .bind(column(&events, |(_, event)| lines(&event.tags)))
        .bind(column(&events, |(_, event)| event.metadata.correlation_id.as_deref().map(correlation_key)))
        .bind(column(&events, |(_, event)| event.metadata.causation_id.map(EventId::uuid)))
        .bind(column(&events, |(_, event)| metadata_json(&event.metadata)))
        .bind(column(&events, |(_, event)| (!event.payload.content_type.is_json()).then(|| event.payload.content_type.as_str())))
        .bind(column(&events, |(_, event)| json(event)))
        .bind(column(&events, |(_, event)| json(event).is_none().then(|| &event.payload.data[..])))
        .bind(column(&events, |(_, event)| (event.payload.data.len() + event.metadata.text_bytes()) as i32))
        .bind(column(&tags, |(_, tag)| tag.as_str()))
        .bind(column(&tags, |(event, _)| *event))
}

/// The tags of an event, each once, with its number.
fn tags(event: &NewEvent, number: i32) -> impl Iterator<Item = (i32, &Tag)> {
    let is_first = |(index, tag): &(usize, &Tag)| !event.tags[..*index].contains(tag);
    event.tags.iter().enumerate().filter(is_first).map(move |(_, tag)| (number, tag))
}

fn bind_expected<'a>(statement: Statement<'a>, appends: &'a [Append], streams: &Streams<'a>) -> Statement<'a> {
    let expected = numbered(appends, |append| append.expected.iter());
    statement
        .bind(column(&expected, |(append, _)| *append))
        .bind(column(&expected, |(_, (stream, _))| number(streams.indexes[stream])))
        .bind(column(&expected, |(_, (_, expected))| version(*expected)))
}

fn bind_conditions<'a>(statement: Statement<'a>, appends: &'a [Append]) -> Statement<'a> {
    let conditions = numbered(appends, |append| {
        let conditions = append.condition.iter();
        conditions.flat_map(|condition| condition.query.selectors.iter().map(move |selector| (condition.after, selector)))
    });
    let scopes: Vec<Scoped<'_>> = conditions.iter().map(|(_, (_, selector))| Scoped::of(&selector.scope)).collect();
    statement
        .bind(column(&conditions, |(append, _)| *append))
        .bind(column(&conditions, |(_, (after, _))| bigint(after.get())))
        .bind(column(&conditions, |(_, (_, selector))| lines(&selector.event_types)))
        .bind(column(&conditions, |(_, (_, selector))| lines(&selector.tags)))
        .bind(column(&scopes, |scope| scope.kind))
        .bind(column(&scopes, |scope| scope.text))
        .bind(column(&scopes, |scope| scope.uuid))
        .bind(column(&scopes, |scope| scope.after))
        .bind(column(&scopes, |scope| scope.through))
}

fn bind_consumed<'a>(statement: Statement<'a>, appends: &'a [Append]) -> Statement<'a> {
    let consumed = numbered(appends, |append| append.consumed.iter());
    statement
        .bind(column(&consumed, |(append, _)| *append))
        .bind(column(&consumed, |(_, consumed)| consumed.consumer.as_str()))
        .bind(column(&consumed, |(_, consumed)| consumed.through.to_string()))
}

/// The things of each append, with its number, counted from 1.
fn numbered<'a, T, I: Iterator<Item = T>>(appends: &'a [Append], things: impl Fn(&'a Append) -> I) -> Vec<(i32, T)> {
    (1..).zip(appends).flat_map(|(number, append)| things(append).map(move |thing| (number, thing))).collect()
}

fn column<'a, T, C>(rows: &'a [T], value: impl Fn(&'a T) -> C) -> Vec<C> {
    rows.iter().map(value).collect()
}

/// What has an index from 0 here is numbered from 1 there.
fn number(index: usize) -> i32 {
    index as i32 + 1
}

fn version(expected: Expected) -> i64 {
    match expected {
        Expected::Exact(version) => bigint(version.get()),
        Expected::Exists => -1,
        Expected::Any => -2,
    }
}

/// Names, one a line: a name has no line break. `None` where there are none.
pub(crate) fn lines<N: AsRef<str>>(names: &[N]) -> Option<String> {
    (!names.is_empty()).then(|| names.iter().map(AsRef::as_ref).collect::<Vec<_>>().join("\n"))
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
