//! Verification: reads all of a log, and compares what is derived from its events with them.

use std::sync::Arc;

use factum::{EventId, Position, Query, Range, Read, RecordedEvent, StoreError, StoreErrorKind, StreamName, Timestamp};
use sqlx::Row;
use sqlx::postgres::PgRow;

use crate::error::failed;
use crate::reader::{self, tried};
use crate::rows::{bigint, correlation_key};
use crate::servers::Servers;

/// What was found to be right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verified {
    /// How many events were recorded.
    pub events: u64,
    /// How many of them are archived, and were not looked at.
    pub archived: u64,
    /// In how many streams.
    pub streams: u64,
}

/// The log as it was when the verification began.
struct Whole {
    head: Position,
    archived: Position,
    streams: u64,
    /// The tags of the events that are not archived.
    tags: u64,
}

/// As [`PostgresStore::verify`](crate::PostgresStore::verify).
pub(crate) async fn verify(
    servers: &Arc<Servers>,
    log: i32,
    progress: &mut (dyn FnMut(u64, u64) + Send),
) -> Result<Verified, StoreError> {
    let whole = whole(servers, log).await?;
    let mut rest = Range { after: whole.archived, through: whole.head };
    let (mut last, mut tags) = (None, 0);
    while !rest.is_empty() {
        let page = reader::read(servers, log, &Read::new(Query::all()).range(rest)).await?.0;
        check_order(&page.events, rest.after, last)?;
        tags += check_derived(servers, log, rest.after, &page.events).await?;
        let Some(event) = page.events.last() else { return Err(corrupt(format!("position {} is missing", rest.after.next()))) };
        (last, rest.after) = (Some(event.recorded_at), event.position);
        progress(event.position.get(), whole.head.get());
    }
    if tags != whole.tags {
        return Err(corrupt(format!("{} tags are known, and the events have {tags}", whole.tags)));
    }
    Ok(Verified { events: whole.head.get(), archived: whole.archived.get(), streams: whole.streams })
}

/// Counts, all at one moment. It takes as long as there are rows.
async fn whole(servers: &Arc<Servers>, log: i32) -> Result<Whole, StoreError> {
    let mut connection = servers.connect().await?.connection;
    let row = sqlx::query(WHOLE).bind(log).fetch_optional(&mut connection).await.map_err(failed("count the rows"))?;
    let row = row.ok_or_else(crate::logs::dropped)?;
    let number = |column: &str| row.try_get::<i64, _>(column).map(i64::cast_unsigned).map_err(failed("count the rows"));
    let (head, last) = (number("head")?, number("last")?);
    for (what, count) in
        [("the last event is at", last), ("ids are known:", number("ids")?), ("versions add up to", number("versions")?)]
    {
        if count != head {
            return Err(corrupt(format!("the head is {head}, and {what} {count}")));
        }
    }
    let (streams, versioned) = (number("streams")?, number("versioned")?);
    if streams != versioned {
        return Err(corrupt(format!("{streams} streams are known, and the versions of {versioned}")));
    }
    let (head, archived) = (Position::new(head), Position::new(number("archived")?));
    Ok(Whole { head, archived, streams, tags: number("tags")? })
}

const WHOLE: &str = "
    SELECT l.head, l.archived,
        coalesce((SELECT e.position FROM factum.events e WHERE e.log = $1 ORDER BY e.position DESC LIMIT 1), l.archived) AS last,
        (SELECT count(*) FROM factum.ids i WHERE i.log = $1) AS ids,
        (SELECT count(*) FROM factum.tags t WHERE t.log = $1 AND l.archived < t.position) AS tags,
        (SELECT count(*) FROM factum.streams s WHERE s.log = $1) AS streams,
        (SELECT count(*) FROM factum.versions v WHERE v.log = $1) AS versioned,
        (SELECT coalesce(sum(v.version), 0)::bigint FROM factum.versions v WHERE v.log = $1) AS versions
    FROM factum.newest_heads l WHERE l.log = $1";

/// Positions have no gap, and times never go back.
fn check_order(events: &[RecordedEvent], mut after: Position, mut last: Option<Timestamp>) -> Result<(), StoreError> {
    for event in events {
        if event.position != after.next() {
            return Err(corrupt(format!("position {} is missing", after.next())));
        }
        if last.is_some_and(|last| event.recorded_at < last) {
            return Err(corrupt(format!("position {}: the time goes back", event.position)));
        }
        (after, last) = (event.position, Some(event.recorded_at));
    }
    Ok(())
}

/// What events are found by says what they say; how many tags they have.
async fn check_derived(servers: &Arc<Servers>, log: i32, after: Position, events: &[RecordedEvent]) -> Result<u64, StoreError> {
    let categories: Vec<_> = events.iter().map(|event| StreamName::category_of(&event.stream).to_owned()).collect();
    let correlations: Vec<_> = events.iter().map(|event| event.metadata.correlation_id.as_deref().map(correlation_key)).collect();
    let causations: Vec<_> = events.iter().map(|event| event.metadata.causation_id.map(EventId::uuid)).collect();
    let checked = tried(servers, "compare what events are found by", |pool| {
        let checked = sqlx::query(DERIVED).bind(log).bind(bigint(after.get()));
        let checked = checked.bind(categories.clone()).bind(correlations.clone()).bind(causations.clone());
        async move { checked.fetch_one(&pool).await }
    });
    let row: PgRow = checked.await?;
    let read = |error| failed("compare what events are found by")(error);
    if let Some(problem) = row.try_get::<Option<String>, _>("problem").map_err(read)? {
        return Err(corrupt(problem));
    }
    row.try_get::<i64, _>("tags").map(i64::cast_unsigned).map_err(read)
}

/// Looks by key stand in subqueries of their own, so that no plan can turn them round.
const DERIVED: &str = r"
    WITH checked AS (
        SELECT e.position, tags.count, CASE
            WHEN id.position IS DISTINCT FROM e.position THEN 'its id is not known as its own'
            WHEN tags.count <> tags.known THEN 'a tag of it is not known'
            WHEN own.correlation IS DISTINCT FROM e.correlation OR own.causation IS DISTINCT FROM e.causation
                THEN 'it is not found by its correlation or cause'
            WHEN s.category IS DISTINCT FROM own.category OR e.category <> own.category
                THEN 'its category is not that of its stream'
            WHEN e.position < s.first_position OR (e.version = 1) <> (e.position = s.first_position)
                OR e.version = 1 AND e.recorded_at <> s.first_at THEN 'its stream is not known to begin so'
            WHEN 1 < e.version AND NOT coalesce(before.position < e.position, s.first_position <= archived.through)
                THEN 'the version before it does not come before it'
            WHEN v.version IS NULL OR v.version < e.version OR (v.version = e.version) <> (v.position = e.position)
                OR v.version = e.version AND v.recorded_at <> e.recorded_at THEN 'its stream is not known to be at its version'
        END AS problem
        FROM (SELECT l.archived AS through FROM factum.logs l WHERE l.log = $1) archived
            CROSS JOIN unnest($3::text[], $4::uuid[], $5::uuid[]) WITH ORDINALITY AS own (category, correlation, causation, n)
            CROSS JOIN LATERAL (
                SELECT * FROM factum.events e WHERE e.log = $1 AND e.position = $2 + own.n OFFSET 0
            ) e
            LEFT JOIN LATERAL (SELECT i.position FROM factum.ids i WHERE i.log = $1 AND i.id = e.id OFFSET 0) id ON true
            LEFT JOIN LATERAL (
                SELECT s.category, s.first_position, s.first_at FROM factum.streams s
                WHERE s.log = $1 AND s.stream = e.stream OFFSET 0
            ) s ON true
            LEFT JOIN LATERAL (
                SELECT v.version, v.position, v.recorded_at FROM factum.versions v
                WHERE v.log = $1 AND v.stream = e.stream ORDER BY v.version DESC LIMIT 1
            ) v ON true
            LEFT JOIN LATERAL (
                SELECT b.position FROM factum.events b
                WHERE b.log = $1 AND b.stream = e.stream AND b.version = e.version - 1 LIMIT 1
            ) before ON true
            CROSS JOIN LATERAL (
                SELECT count(*) AS count, count((
                    SELECT true FROM factum.tags k
                    WHERE k.log = $1 AND k.tag = t.tag AND k.position = e.position AND k.type = e.type
                )) AS known
                FROM (SELECT DISTINCT tag FROM unnest(string_to_array(e.tags, E'\n')) AS t (tag)) t
            ) tags
    )
    SELECT coalesce(sum(c.count), 0)::bigint AS tags, (
        SELECT 'position ' || c.position || ': ' || c.problem FROM checked c
        WHERE c.problem IS NOT NULL ORDER BY c.position LIMIT 1
    ) AS problem
    FROM checked c";

fn corrupt(what: String) -> StoreError {
    StoreError::new(StoreErrorKind::Corrupt, what)
}
