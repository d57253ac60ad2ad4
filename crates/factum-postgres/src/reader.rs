//! Reading: a query becomes one statement, which finds its events by their positions.

use std::sync::Arc;
use std::time::Duration;

use factum::{
    Change, ConsumerName, Direction, Page, Position, Query, Range, Read, ReadStreams, Scope, Selector, StoreError,
    StoreErrorKind, StreamName, StreamSummary, StreamsPage, Timestamp, Version, limits,
};
use sqlx::postgres::{PgArguments, PgPool, PgRow};
use sqlx::{Arguments, AssertSqlSafe, Encode, Postgres, Row, Type};
use tokio::time::Instant;
use uuid::Uuid;

use crate::call::{Scoped, lines};
use crate::error::{failed, is_lost};
use crate::rows::{COLUMNS, bigint, correlation_key, event};
use crate::servers::Servers;

/// Reads one page, and which epoch the head is of.
pub(crate) async fn read(servers: &Arc<Servers>, log: i32, read: &Read) -> Result<(Page, Option<Uuid>), StoreError> {
    loop {
        let rows = |pool: PgPool| {
            let mut statement = Statement::new(log, read.range);
            let sql = statement.page(&read.query, read.direction, read.page_limit());
            async move { sqlx::query_with(AssertSqlSafe(sql), statement.arguments).fetch_all(&pool).await }
        };
        let (page, epoch, archived) = page(&tried(servers, "read events", rows).await?, read)?;
        // Down to where it has looked.
        let lowest = match (read.direction, page.rest) {
            (Direction::Backward, Some(rest)) => rest.through,
            _ => read.range.after,
        };
        if archived <= lowest {
            return Ok((page, epoch));
        }
        match missed(servers, log, &read.query, lowest, archived).await? {
            Missed::Nothing => return Ok((page, epoch)),
            Missed::Archived => {
                let message = format!("events through position {archived} are archived: attach the archive, or read from there");
                return Err(StoreError::new(StoreErrorKind::NotFound, message));
            }
            // It is looked for again.
            Missed::Unknown => {}
        }
    }
}

/// What a page may lack.
enum Missed {
    Nothing,
    Archived,
    /// What is archived is not what was, when the page was read.
    Unknown,
}

/// What a query may select among events that were archived through a position, after another one.
async fn missed(
    servers: &Arc<Servers>,
    log: i32,
    query: &Query,
    after: Position,
    archived: Position,
) -> Result<Missed, StoreError> {
    for selector in &query.selectors {
        let scope = Scoped::of(&selector.scope);
        let asked = |pool: PgPool| {
            let asked = "
                SELECT l.archived, factum.is_archived(
                    $1, $2, string_to_array($3, E'\n'), string_to_array($4, E'\n'), $5, $6, $7, $8
                )
                FROM factum.logs l WHERE l.log = $1";
            let asked = sqlx::query_as::<_, (i64, bool)>(asked).bind(log).bind(bigint(after.get()));
            let asked = asked.bind(lines(&selector.event_types)).bind(lines(&selector.tags));
            let asked = asked.bind(scope.kind).bind(scope.text).bind(scope.uuid).bind(scope.after);
            async move { asked.fetch_optional(&pool).await }
        };
        let (now, may_be) = tried(servers, "look into the archive", asked).await?.ok_or_else(crate::logs::dropped)?;
        if now != bigint(archived.get()) {
            return Ok(Missed::Unknown);
        }
        if may_be {
            return Ok(Missed::Archived);
        }
    }
    Ok(Missed::Nothing)
}

/// Reads, and does so again where the server fails or is not what it was: to read is harmless.
pub(crate) async fn tried<T, F>(servers: &Arc<Servers>, what: &str, read: impl Fn(PgPool) -> F) -> Result<T, StoreError>
where
    F: Future<Output = sqlx::Result<T>>,
{
    let deadline = Instant::now() + servers.patience;
    loop {
        let error = match servers.pool().await {
            Ok((host, pool)) => match servers.bounded(host, read(pool)).await {
                Ok(read) => return Ok(read),
                Err(error) if is_lost(&error) => {
                    servers.lost(host);
                    failed(what)(error)
                }
                // So it is where a server does nothing, until another one has taken over.
                Err(error @ sqlx::Error::PoolTimedOut) => failed(what)(error),
                Err(error) => return Err(failed(what)(error)),
            },
            Err(error) if error.kind() == StoreErrorKind::Unavailable => error,
            Err(error) => return Err(error),
        };
        if deadline < Instant::now() + AGAIN {
            return Err(error);
        }
        tokio::time::sleep(AGAIN).await;
    }
}

/// How long a reader waits before it tries again.
pub(crate) const AGAIN: Duration = Duration::from_millis(100);

/// The position of the last event.
pub(crate) async fn head(servers: &Arc<Servers>, log: i32) -> Result<Position, StoreError> {
    let head = |pool: PgPool| async move {
        sqlx::query_scalar::<_, i64>("SELECT head FROM factum.newest_heads WHERE log = $1").bind(log).fetch_optional(&pool).await
    };
    let head = tried(servers, "read the head", head).await?;
    head.map(|head| Position::new(head.cast_unsigned())).ok_or_else(crate::logs::dropped)
}

/// Where nothing is found, the log may be dropped.
async fn check_there(servers: &Arc<Servers>, log: i32) -> Result<(), StoreError> {
    head(servers, log).await.map(|_| ())
}

/// How far a consumer got.
pub(crate) async fn consumed(servers: &Arc<Servers>, log: i32, consumer: &ConsumerName) -> Result<Position, StoreError> {
    let mark = |pool: PgPool| {
        let select =
            "SELECT c.through::text FROM factum.consumers c WHERE c.log = $1 AND c.consumer = $2 ORDER BY c.through DESC LIMIT 1";
        let select = sqlx::query_scalar::<_, String>(select).bind(log).bind(consumer.as_str().to_owned());
        async move { select.fetch_optional(&pool).await }
    };
    let mark = tried(servers, "read a consumer's mark", mark).await?;
    if mark.is_none() {
        check_there(servers, log).await?;
    }
    let read = |through: String| through.parse().map(Position::new);
    let corrupt = |_| StoreError::new(StoreErrorKind::Corrupt, "a consumer's mark is no number");
    mark.map_or(Ok(Position::START), |through| read(through).map_err(corrupt))
}

/// All marks, in the order of their consumers' names.
pub(crate) async fn consumers(servers: &Arc<Servers>, log: i32) -> Result<Vec<(ConsumerName, Position)>, StoreError> {
    let marks = |pool: PgPool| async move {
        let select = "SELECT consumer, through::text FROM factum.consumers WHERE log = $1 ORDER BY consumer";
        sqlx::query_as::<_, (String, String)>(select).bind(log).fetch_all(&pool).await
    };
    let marks = tried(servers, "read the marks of consumers", marks).await?.into_iter();
    let corrupt = || StoreError::new(StoreErrorKind::Corrupt, "a mark cannot be read");
    let read = |(name, through): (String, String)| {
        Ok((ConsumerName::new(name).map_err(|_| corrupt())?, through.parse().map(Position::new).map_err(|_| corrupt())?))
    };
    marks.map(read).collect()
}

/// Reads one page of streams.
pub(crate) async fn streams(servers: &Arc<Servers>, log: i32, read: &ReadStreams) -> Result<StreamsPage, StoreError> {
    let limit = read.limit.clamp(1, limits::PAGE_EVENTS_MAX);
    let of_category = if read.category.is_some() { "AND s.category = $3" } else { "AND $3::text IS NULL" };
    let select = format!(
        "SELECT s.stream, v.version, s.first_position, s.first_at, v.position, v.recorded_at
         FROM factum.streams s CROSS JOIN LATERAL (
            SELECT v.version, v.position, v.recorded_at FROM factum.versions v
            WHERE v.log = s.log AND v.stream = s.stream ORDER BY v.version DESC LIMIT 1
         ) v
         WHERE s.log::bigint = $1 AND $2 < s.first_position {of_category} AND starts_with(s.stream, $4)
         ORDER BY s.first_position LIMIT $5"
    );
    let rows = |pool: PgPool| {
        let select = sqlx::query(AssertSqlSafe(select.clone())).bind(i64::from(log)).bind(bigint(read.after.get()));
        let select = select.bind(read.category.as_ref().map(|category| category.as_str().to_owned()));
        let select = select.bind(read.prefix.clone()).bind(limit as i64 + 1);
        async move { select.fetch_all(&pool).await }
    };
    let rows = tried(servers, "read streams", rows).await?;
    if rows.is_empty() {
        check_there(servers, log).await?;
    }
    let mut streams = rows.iter().map(summary).collect::<Result<Vec<_>, _>>()?;
    let rest = limit < streams.len();
    streams.truncate(limit);
    let last = streams.last().map(|stream| stream.first.position);
    Ok(StreamsPage { rest: last.filter(|_| rest), streams })
}

fn summary(row: &PgRow) -> Result<StreamSummary, StoreError> {
    let number = |column: usize| row.try_get::<i64, _>(column).map(i64::cast_unsigned);
    let change = |column: usize| -> sqlx::Result<Change> {
        let recorded_at = Timestamp::from_micros(row.try_get(column + 1)?);
        Ok(Change { position: Position::new(number(column)?), recorded_at })
    };
    let read = || -> sqlx::Result<StreamSummary> {
        let name = StreamName::new(row.try_get::<String, _>(0)?).map_err(|error| sqlx::Error::Decode(error.into()))?;
        Ok(StreamSummary { name, version: Version::new(number(1)?), first: change(2)?, last: change(4)? })
    };
    read().map_err(failed("read a stream's row"))
}

/// The page, the epoch of its head, and up to where events are archived.
fn page(rows: &[PgRow], read: &Read) -> Result<(Page, Option<Uuid>, Position), StoreError> {
    let first = rows.first().ok_or_else(crate::logs::dropped)?;
    let head: i64 = first.try_get(0).map_err(failed("read the head"))?;
    let epoch = first.try_get(1).map_err(failed("read the epoch"))?;
    let archived: i64 = first.try_get(2).map_err(failed("read what is archived"))?;
    let head = Position::new(head.cast_unsigned());
    let mut events = Vec::with_capacity(rows.len());
    for row in rows {
        // Where nothing is selected, there is the head alone.
        if row.try_get::<Option<i64>, _>(3).map_err(failed("read an event"))?.is_some() {
            events.push(event(row, 3)?);
        }
    }
    let bytes: usize = events.iter().map(|event| event.payload.data.len() + event.metadata.text_bytes()).sum();
    let is_full = events.len() == read.page_limit() || limits::PAGE_BYTES <= bytes;
    let rest = events.last().filter(|_| is_full).map(|last| match read.direction {
        Direction::Forward => Range { after: last.position, through: read.range.through },
        Direction::Backward => Range { after: read.range.after, through: last.position.previous() },
    });
    let rest = rest.filter(|rest| !Range { through: rest.through.min(head), ..*rest }.is_empty());
    Ok((Page { events, rest, head }, epoch, Position::new(archived.cast_unsigned())))
}

/// A statement that is being written, with its arguments: the log, and the range.
struct Statement {
    arguments: PgArguments,
}

const LOG: &str = "e.log = $1 AND $2 < e.position AND e.position <= $3";
/// Of an event's types, each is looked for on its own up to this many: what comes of it is in order.
const TYPES_APART: usize = 8;

impl Statement {
    fn new(log: i32, range: Range) -> Self {
        let mut statement = Self { arguments: PgArguments::default() };
        statement.bind(log);
        statement.bind(bigint(range.after.get()));
        statement.bind(bigint(range.through.get()));
        statement
    }

    /// Binds a value; how it is named.
    fn bind<'q, T: Encode<'q, Postgres> + Type<Postgres> + 'q>(&mut self, value: T) -> String {
        self.arguments.add(value).expect("texts and numbers can be sent");
        format!("${}", self.arguments.len())
    }

    /// The head, and the events of a page: as many as fit into its bytes.
    fn page(&mut self, query: &Query, direction: Direction, limit: usize) -> String {
        let order = if direction == Direction::Forward { "" } else { " DESC" };
        let from = match &query.selectors[..] {
            [all] if *all == Selector::default() => format!("factum.events e WHERE {LOG}"),
            selectors => {
                // Each is looked for by its position, whatever the statistics say: they are those of an empty table for a while.
                let found = self.positions(selectors, order, limit);
                let event = format!("SELECT * FROM factum.events e WHERE {LOG} AND e.position = found.position OFFSET 0");
                format!("({found}) found CROSS JOIN LATERAL ({event}) e")
            }
        };
        let bytes = limits::PAGE_BYTES;
        // A page is full with the event that makes it so: what counts is what stands before each. Data is fetched last, of those
        // events alone that are in the page.
        format!(
            "SELECT l.head, (SELECT h.epoch FROM factum.epochs h WHERE h.log = $1 ORDER BY h.after DESC LIMIT 1), l.archived,
                {COLUMNS}
             FROM factum.newest_heads l LEFT JOIN (
                SELECT *, sum(bytes) OVER (ORDER BY position{order} ROWS UNBOUNDED PRECEDING) - bytes AS before FROM (
                    SELECT e.* FROM {from} ORDER BY e.position{order} LIMIT {limit}
                ) e
             ) e ON e.before < {bytes} WHERE l.log = $1 ORDER BY e.position{order}"
        )
    }

    /// The positions of what any of the selectors selects, in order.
    fn positions(&mut self, selectors: &[Selector], order: &str, limit: usize) -> String {
        let branches: Vec<String> =
            selectors.iter().flat_map(|selector| self.branches(selector)).map(|from| branch(&from, order, limit)).collect();
        match &branches[..] {
            [] => "SELECT NULL::bigint AS position WHERE false".to_owned(),
            [one] => one.clone(),
            several => {
                let union = several.iter().map(|branch| format!("({branch})")).collect::<Vec<_>>().join(" UNION ALL ");
                format!("SELECT DISTINCT position FROM ({union}) b ORDER BY position{order} LIMIT {limit}")
            }
        }
    }

    /// Where a selector finds its events, once or, where it names types, once for each of them.
    fn branches(&mut self, selector: &Selector) -> Vec<String> {
        if selector.tags.is_empty() && selector.scope == Scope::Everything && selector.event_types.len() <= TYPES_APART {
            let of = |event_type: &factum::EventType| {
                let name = self.bind(event_type.as_str().to_owned());
                format!("factum.events e WHERE {LOG} AND e.type = {name}")
            };
            if !selector.event_types.is_empty() {
                return selector.event_types.iter().map(of).collect();
            }
        }
        vec![self.found(selector)]
    }

    fn found(&mut self, selector: &Selector) -> String {
        let types = self.types(selector);
        if let ([first, others @ ..], Scope::Everything) = (&selector.tags[..], &selector.scope) {
            let first = self.bind(first.as_str().to_owned());
            let others = self.tagged(others);
            return format!("factum.tags e WHERE {LOG} AND e.tag = {first}{types}{others}");
        }
        let scope = self.scope(&selector.scope);
        let tags = self.tagged(&selector.tags);
        format!("factum.events e WHERE {LOG}{scope}{types}{tags}")
    }

    fn types(&mut self, selector: &Selector) -> String {
        if selector.event_types.is_empty() {
            return String::new();
        }
        let types: Vec<String> = selector.event_types.iter().map(|name| name.as_str().to_owned()).collect();
        let types = self.bind(types);
        format!(" AND e.type = ANY ({types})")
    }

    fn tagged(&mut self, tags: &[factum::Tag]) -> String {
        let tagged = |tag: &factum::Tag| {
            let tag = self.bind(tag.as_str().to_owned());
            format!(" AND (SELECT true FROM factum.tags t WHERE t.log = $1 AND t.tag = {tag} AND t.position = e.position)")
        };
        tags.iter().map(tagged).collect()
    }

    fn scope(&mut self, scope: &Scope) -> String {
        match scope {
            Scope::Stream(stream, versions) => {
                let stream = self.bind(stream.as_str().to_owned());
                let after = self.bind(bigint(versions.after.get()));
                let through = self.bind(bigint(versions.through.get()));
                format!(" AND e.stream = {stream} AND {after} < e.version AND e.version <= {through}")
            }
            Scope::Category(category) => format!(" AND e.category = {}", self.bind(category.as_str().to_owned())),
            Scope::Correlation(id) => format!(" AND e.correlation = {}", self.bind(correlation_key(id))),
            Scope::CausedBy(id) => format!(" AND e.causation = {}", self.bind(id.uuid())),
            Scope::Event(id) => {
                let id = self.bind(id.uuid());
                format!(" AND e.position = (SELECT i.position FROM factum.ids i WHERE i.log = $1 AND i.id = {id})")
            }
            _ => String::new(),
        }
    }
}

fn branch(from: &str, order: &str, limit: usize) -> String {
    // Within a stream, versions rise as positions do, and its index has the versions.
    let by = if from.contains("e.stream = ") { "e.version" } else { "e.position" };
    format!("SELECT e.position FROM {from} ORDER BY {by}{order} LIMIT {limit}")
}
