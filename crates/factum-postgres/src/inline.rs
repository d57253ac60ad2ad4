//! Read models that are kept inline: each append changes them in its own transaction.

use std::pin::Pin;
use std::sync::Arc;

use factum::__private::guarded;
use factum::{
    Append, EventSet, HandlerError, Position, Projection, Query, Range, Read, ReadDb, ReadModelName, ReadModels, RecordedEvent,
    StoreError, StoreErrorKind, TypedEvent,
};
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Executor};
use tokio::time::Instant;

use crate::answer::Answer;
use crate::call::Call;
use crate::error::{failed, is_lost};
use crate::names::schema;
use crate::read_db::{PgDb, check_names, swap_views};
use crate::read_tx::{Link, PgTx};
use crate::reader::{self, AGAIN};
use crate::sequencer::Failure;
use crate::servers::Servers;
use crate::store::OWN_TURN_MAX;

type Handled<'a> = Pin<Box<dyn Future<Output = Result<(), HandlerError>> + Send + 'a>>;

/// A projection of any type.
trait Inline: Send + Sync {
    fn model(&self) -> &ReadModelName;
    fn query(&self) -> &Query;
    fn create<'a>(&'a self, tx: &'a mut PgTx) -> Handled<'a>;
    fn apply<'a>(&'a self, tx: &'a mut PgTx, event: &'a RecordedEvent) -> Handled<'a>;
}

struct Of<P> {
    projection: P,
    model: ReadModelName,
    query: Query,
}

impl<P: Projection<Db = PgDb>> Inline for Of<P> {
    fn model(&self) -> &ReadModelName {
        &self.model
    }

    fn query(&self) -> &Query {
        &self.query
    }

    fn create<'a>(&'a self, tx: &'a mut PgTx) -> Handled<'a> {
        Box::pin(self.projection.create(tx))
    }

    fn apply<'a>(&'a self, tx: &'a mut PgTx, event: &'a RecordedEvent) -> Handled<'a> {
        // A panic would end whatever appends for the whole program.
        Box::pin(guarded(async move {
            let Some(data) = P::Events::of(event)? else { return Ok(()) };
            self.projection.apply(tx, &TypedEvent { data, recorded: event.clone() }).await
        }))
    }
}

/// The read models of a log that are kept inline, in the order of their names. Clones share them.
#[derive(Clone, Default)]
pub(crate) struct Inlines(Vec<Arc<dyn Inline>>);

impl Inlines {
    /// These, and one more.
    pub(crate) fn and<P: Projection<Db = PgDb>>(mut self, projection: P) -> Result<Self, StoreError> {
        let invalid = |message: String| StoreError::new(StoreErrorKind::Invalid, message);
        let model = ReadModelName::new(&projection.name(), P::VERSION).map_err(|error| invalid(error.to_string()))?;
        if P::DELIVERS {
            return Err(invalid(format!("{model} has effects outside of the database: run it as a projection of its own")));
        }
        if self.0.iter().any(|other| other.model().projection() == model.projection()) {
            return Err(invalid(format!("there are two projections {}: name one of them anew", model.projection())));
        }
        let query = projection.query().map_err(|error| invalid(error.to_string()))?;
        self.0.push(Arc::new(Of { projection, model, query }));
        self.0.sort_by_key(|inline| inline.model().to_string());
        Ok(self)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn names(&self) -> Vec<String> {
        self.0.iter().map(|inline| inline.model().to_string()).collect()
    }

    /// Calls the function, and applies what it records, in one transaction. The connection comes back if it can be used on.
    pub(crate) async fn record(
        &self,
        appends: &[Append],
        call: &Call,
        mut connection: PgConnection,
    ) -> (Option<PgConnection>, Result<Answer, Failure>) {
        let answer = async {
            connection.execute("BEGIN").await?;
            call.make(appends, &mut connection).await
        };
        let answer = match answer.await {
            Ok(answer) => answer,
            Err(error) => return rolled_back(connection, failed("record it")(error)).await,
        };
        let events = match &answer {
            Answer::Recorded(recorded) => recorded.events(appends),
            Answer::Refused(_) => Vec::new(),
        };
        for inline in &self.0 {
            let mut tx = PgTx { model: inline.model().clone(), link: Link::Append(connection), publishes: false };
            let applied = apply(&**inline, &mut tx, &events).await;
            let Link::Append(own) = tx.link else { unreachable!("it was made so") };
            connection = own;
            if let Err(error) = applied {
                return rolled_back(connection, error).await;
            }
        }
        // Of a transaction in which something failed a commit is a rollback, and no error: what comes before it is one.
        match connection.execute("SELECT 1; COMMIT").await {
            Ok(_) => (Some(connection), Ok(answer)),
            Err(error) if is_lost(&error) => (None, Err(Failure { error: failed("record it")(error), may_be_recorded: true })),
            Err(error) => rolled_back(connection, failed("record it")(error)).await,
        }
    }

    /// Sees to it that each has what is recorded, and is changed by all appends from then on.
    pub(crate) async fn fill(&self, db: &PgDb, servers: &Arc<Servers>, log: i32) -> Result<(), StoreError> {
        let others = ReadModels::new(db.clone()).list().await?;
        for inline in &self.0 {
            let model = inline.model();
            if others.iter().any(|other| other.name.projection() == model.projection()) {
                let message = format!("{model} is run as a projection of its own: name one of them anew, or drop it");
                return Err(StoreError::new(StoreErrorKind::Invalid, message));
            }
            let mut deadline = Instant::now() + servers.patience;
            let filling = Filling { inline: &**inline, db, servers, log };
            loop {
                match filling.step().await {
                    Ok(true) => break,
                    Ok(false) => deadline = Instant::now() + servers.patience,
                    Err(error) if error.kind() == StoreErrorKind::Unavailable && Instant::now() < deadline => {
                        tokio::time::sleep(AGAIN).await;
                    }
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(())
    }
}

/// Ends a transaction that was not committed; the connection comes back if that worked.
async fn rolled_back<T>(mut connection: PgConnection, error: StoreError) -> (Option<PgConnection>, Result<T, Failure>) {
    let usable = connection.execute("ROLLBACK").await.is_ok();
    (usable.then_some(connection), Err(Failure { error, may_be_recorded: false }))
}

/// Applies those of the events that the read model is about.
async fn apply(inline: &dyn Inline, tx: &mut PgTx, events: &[RecordedEvent]) -> Result<(), StoreError> {
    for event in events.iter().filter(|event| inline.query().selects(event)) {
        inline.apply(tx, event).await.map_err(|error| unapplied(inline, event, &error))?;
    }
    Ok(())
}

fn unapplied(inline: &dyn Inline, event: &RecordedEvent, error: &HandlerError) -> StoreError {
    let kind = if PgDb::is_transient(&**error) { StoreErrorKind::Unavailable } else { StoreErrorKind::Invalid };
    let (model, kind_of, id) = (inline.model(), &event.event_type, event.id);
    StoreError::new(kind, format!("{model}, which is kept inline, cannot apply the {kind_of} {id}: {error}"))
}

/// A read model that is being filled, before it is kept inline.
struct Filling<'a> {
    inline: &'a dyn Inline,
    db: &'a PgDb,
    servers: &'a Arc<Servers>,
    log: i32,
}

impl Filling<'_> {
    /// One transaction: some more events are applied, or, near the head, all that are left while no append goes on. Whether it
    /// is kept inline from now on.
    async fn step(&self) -> Result<bool, StoreError> {
        let mut tx = self.db.begin(self.inline.model()).await?;
        let Some(checkpoint) = self.checkpoint(&mut tx, false).await? else { return Ok(true) };
        let (through, is_head) = self.pass(&mut tx, checkpoint).await?;
        if !is_head {
            self.write(&mut tx, through).await?;
            return self.db.commit(tx).await.map(|()| false);
        }
        drop(tx);
        let mut tx = self.db.begin(self.inline.model()).await?;
        let Some(mut checkpoint) = self.checkpoint(&mut tx, true).await? else { return Ok(true) };
        loop {
            let (through, is_head) = self.pass(&mut tx, checkpoint).await?;
            checkpoint = through;
            if is_head {
                break;
            }
        }
        self.write(&mut tx, checkpoint).await?;
        self.put_in_place(&mut tx).await?;
        self.db.commit(tx).await.map(|()| true)
    }

    /// Up to where it is filled, and nobody else fills it while the transaction lasts; `None` where it is kept inline already.
    async fn checkpoint(&self, tx: &mut PgTx, at_the_end: bool) -> Result<Option<Position>, StoreError> {
        if at_the_end {
            // No append goes on from here to the commit.
            let turn = sqlx::query("SELECT pg_advisory_xact_lock(1717658484, $1) FROM set_config('lock_timeout', $2, true)");
            let turn = turn.bind(self.log).bind(OWN_TURN_MAX.as_millis().to_string());
            turn.execute(tx.connection()).await.map_err(failed("wait for the log's turn"))?;
        }
        let inline: Vec<String> = sqlx::query_scalar("SELECT inline FROM factum.logs WHERE log = $1")
            .bind(self.log)
            .fetch_one(tx.connection())
            .await
            .map_err(failed("read the log"))?;
        let own = self.inline.model();
        for live in inline.iter().filter_map(|live| live.parse::<ReadModelName>().ok()) {
            if live == *own {
                return Ok(None);
            }
            if live.projection() == own.projection() && own.version() < live.version() {
                let message = format!("the log keeps {live} inline, and this program {own}: deploy the newer program");
                return Err(StoreError::new(StoreErrorKind::Unsupported, message));
            }
        }
        self.row(tx).await.map(Some)
    }

    async fn row(&self, tx: &mut PgTx) -> Result<Position, StoreError> {
        let model = self.inline.model().to_string();
        let insert = sqlx::query("INSERT INTO factum.inline VALUES ($1, $2, 0) ON CONFLICT DO NOTHING").bind(model.clone());
        let inserted = insert.bind(self.log).execute(tx.connection()).await.map_err(failed("note the read model"))?;
        if inserted.rows_affected() == 1 {
            // There may be tables of a log that was dropped.
            let anew = format!("DROP SCHEMA IF EXISTS {0} CASCADE; CREATE SCHEMA {0}", schema(self.inline.model()));
            tx.connection().execute(AssertSqlSafe(anew)).await.map_err(failed("make the schema"))?;
            self.inline.create(tx).await.map_err(|error| {
                StoreError::new(StoreErrorKind::Invalid, format!("cannot make the tables of {model}: {error}"))
            })?;
            return Ok(Position::START);
        }
        let row = sqlx::query_as("SELECT log, checkpoint FROM factum.inline WHERE model = $1 FOR UPDATE").bind(model.clone());
        let (log, checkpoint): (i32, i64) = row.fetch_one(tx.connection()).await.map_err(failed("read the checkpoint"))?;
        if log != self.log {
            let message = format!("{model} is of another log of this database: give it a name of its own for each");
            return Err(StoreError::new(StoreErrorKind::Invalid, message));
        }
        Ok(Position::new(checkpoint.cast_unsigned()))
    }

    /// Applies a page of events; up to where, and whether that is the head.
    async fn pass(&self, tx: &mut PgTx, after: Position) -> Result<(Position, bool), StoreError> {
        let range = Range::after(after);
        let read = Read::new(self.inline.query().clone()).range(range);
        let (page, _) = reader::read(self.servers, self.log, &read).await?;
        apply(self.inline, tx, &page.events).await?;
        Ok((page.through(range), page.rest.is_none()))
    }

    async fn write(&self, tx: &mut PgTx, checkpoint: Position) -> Result<(), StoreError> {
        sqlx::query("UPDATE factum.inline SET checkpoint = $2 WHERE model = $1")
            .bind(self.inline.model().to_string())
            .bind(checkpoint.get().cast_signed())
            .execute(tx.connection())
            .await
            .map_err(failed("write the checkpoint"))?;
        Ok(())
    }

    /// Appends change it from now on, and no older version; the plain names mean its tables.
    async fn put_in_place(&self, tx: &mut PgTx) -> Result<(), StoreError> {
        let model = self.inline.model();
        sqlx::query(
            "UPDATE factum.logs SET inline = ARRAY(
                 SELECT kept FROM (
                     SELECT kept FROM unnest(inline) AS live (kept) WHERE NOT starts_with(kept, $2) UNION ALL SELECT $3
                 ) kept ORDER BY kept COLLATE \"C\"
             ) WHERE log = $1",
        )
        .bind(self.log)
        .bind(format!("{}@", model.projection()))
        .bind(model.to_string())
        .execute(tx.connection())
        .await
        .map_err(failed("put it in place"))?;
        check_names(tx).await?;
        swap_views(tx).await
    }
}
