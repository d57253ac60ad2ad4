//! A PostgreSQL database with read models in it.

use std::error::Error;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use factum::{ReadDb, ReadModelName, Record, StoreError, StoreErrorKind, Timestamp};
use sqlx::postgres::{PgConnectOptions, PgConnection, PgPool, PgPoolOptions};
use sqlx::{AssertSqlSafe, Connection, Executor};

use crate::error::{failed, is_lost, is_made, is_missing};
use crate::names::{quoted, schema};
use crate::read_tx::{Link, PgTx};
use crate::servers::{CHECK, Connected, Role, Servers, hosts};

/// The most connections of [`PgDb::pool`], for queries and projections together, unless other options are given.
pub const READ_CONNECTIONS: u32 = 16;

/// How long is waited for a connection: while the server is away, that is how long each try takes.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a connection may take to answer before another one is used.
const PING_TIMEOUT: Duration = Duration::from_secs(1);

/// How long a swap waits for the queries on the tables that it replaces, before it gives way to them and is tried again.
pub const SWAP_WAIT: Duration = Duration::from_millis(200);

/// A database that read models are kept in, beside whatever else is in it. Clones share its connections.
///
/// Each read model has a schema of its own, named after it. The plain names of its tables are views in the schema that the
/// connection creates tables in, usually `public`. The runtime's own records are in the schema `factum_read`.
#[derive(Clone)]
pub struct PgDb {
    pool: PgPool,
    servers: Arc<Servers>,
    primary: Arc<Mutex<Primary>>,
}

/// The server that the connections of the pool are to lead to, by its place among the hosts.
struct Primary {
    host: usize,
    /// When it became the one: connections from before it are not used.
    since: Instant,
    checked: Instant,
}

/// What the runtime keeps, and whose the plain names are. The lock is of Factum's class, for one program at a time.
const TABLES: &str = r#"
    BEGIN;
    SELECT pg_advisory_xact_lock(1717658484, -1);
    CREATE SCHEMA IF NOT EXISTS factum_read;
    CREATE TABLE IF NOT EXISTS factum_read.records (key text COLLATE "C" PRIMARY KEY, value text NOT NULL);
    CREATE TABLE IF NOT EXISTS factum_read.views (
        schema text NOT NULL, name text NOT NULL, model text NOT NULL, projection text NOT NULL, PRIMARY KEY (schema, name)
    );
    INSERT INTO factum_read.records VALUES ('factum/format', '1') ON CONFLICT DO NOTHING;
    COMMIT"#;

async fn format(connection: &mut PgConnection) -> sqlx::Result<String> {
    let format = sqlx::query_scalar("SELECT value FROM factum_read.records WHERE key = 'factum/format'");
    format.fetch_one(connection).await
}

/// The format of these tables that this program knows.
const FORMAT: u32 = 1;

impl PgDb {
    /// Opens the database at a URL such as `postgres://user@host:5432/database`. There may be several hosts, divided by commas:
    /// a primary with its standbys. Where another takes over, the connections follow it.
    ///
    /// # Errors
    /// [`StoreError`] where it cannot be reached, or its read models are of a newer Factum.
    pub async fn open(url: &str) -> Result<Self, StoreError> {
        Self::with_hosts(hosts(url)?).await
    }

    /// Opens a database by sqlx's options.
    ///
    /// # Errors
    /// As [`PgDb::open`].
    pub async fn with_options(options: PgConnectOptions) -> Result<Self, StoreError> {
        Self::with_hosts(vec![options]).await
    }

    async fn with_hosts(hosts: Vec<PgConnectOptions>) -> Result<Self, StoreError> {
        // That something exists already is what is usual.
        let quiet = |host: PgConnectOptions| host.options([("client_min_messages", "warning")]);
        let hosts = hosts.into_iter().map(quiet).collect();
        let servers = Arc::new(Servers::new(hosts, Role::Primary, READ_CONNECTIONS, ACQUIRE_TIMEOUT));
        let Connected { mut connection, host, .. } = servers.connect().await?;
        let format = match format(&mut connection).await {
            // Only then: who finds them needs no right to make any.
            Err(error) if is_missing(&error) => {
                connection.execute(TABLES).await.map_err(failed("make the tables of the runtime"))?;
                format(&mut connection).await
            }
            format => format,
        };
        let format = format.map_err(failed("read the format"))?;
        if format.parse::<u32>().ok().is_none_or(|format| FORMAT < format) {
            let message =
                format!("its read models are in format {format}, and this program knows {FORMAT}: run the newer program");
            return Err(StoreError::new(StoreErrorKind::Unsupported, message));
        }
        let now = Instant::now();
        let primary = Arc::new(Mutex::new(Primary { host, since: now, checked: now }));
        let pool = pool_of(primary.clone()).connect_lazy_with(servers.options(host).clone());
        Ok(Self { pool, servers, primary })
    }

    /// Connections for queries, on the plain names of tables: what they mean is live, and whole.
    ///
    /// Name the columns that a query is about: a statement that was prepared with `SELECT *` fails, once, where another version
    /// with other columns is swapped in.
    pub fn pool(&self) -> &PgPool {
        &self.pool
    }

    /// Waits for what the primary is to do, for as long as that may take. Where it is lost, another is looked for.
    async fn bounded<T>(&self, call: impl Future<Output = sqlx::Result<T>>) -> sqlx::Result<T> {
        let host = self.primary().host;
        let done = self.servers.bounded(host, call).await;
        if done.as_ref().is_err_and(|error| is_lost(error) || matches!(error, sqlx::Error::PoolTimedOut)) {
            self.follow().await;
        }
        done
    }

    /// Has new connections lead to where the primary is now, and no old one used that leads elsewhere.
    async fn follow(&self) {
        let Ok(Connected { connection, host, .. }) = self.servers.connect().await else { return };
        let _ = connection.close().await;
        let mut primary = self.primary();
        if primary.host != host {
            (primary.host, primary.since) = (host, Instant::now());
            self.pool.set_connect_options(self.servers.options(host).clone());
        }
    }

    /// Now and then, looks whether another server is the primary, which nobody waits for: one that was cut off from the others
    /// may not know.
    fn follow_now_and_then(&self) {
        let mut primary = self.primary();
        if self.servers.is_one_of_several() && CHECK < primary.checked.elapsed() {
            primary.checked = Instant::now();
            let this = self.clone();
            tokio::spawn(async move { this.follow().await });
        }
    }

    fn primary(&self) -> MutexGuard<'_, Primary> {
        self.primary.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Connections of which none is used that answers no more, or is from before another server became the primary.
fn pool_of(primary: Arc<Mutex<Primary>>) -> PgPoolOptions {
    let pool = PgPoolOptions::new().max_connections(READ_CONNECTIONS).acquire_timeout(ACQUIRE_TIMEOUT);
    pool.test_before_acquire(false).before_acquire(move |connection, meta| {
        let since = primary.lock().unwrap_or_else(PoisonError::into_inner).since;
        Box::pin(async move {
            if since.elapsed() < meta.age {
                return Err(sqlx::Error::Protocol("another server is the primary now".to_owned()));
            }
            let late = |_| sqlx::Error::Protocol("the connection does not answer".to_owned());
            tokio::time::timeout(PING_TIMEOUT, connection.ping()).await.map_err(late)?.map(|()| true)
        })
    })
}

impl ReadDb for PgDb {
    type Tx = PgTx;

    async fn begin(&self, model: &ReadModelName) -> Result<PgTx, StoreError> {
        // In one round trip, though the schema is there but for the first time. What stands before BEGIN is part of it, and where
        // that fails no transaction is open.
        let begin = format!("CREATE SCHEMA IF NOT EXISTS {}; BEGIN", schema(model));
        self.follow_now_and_then();
        let mut was_made = false;
        let transaction = loop {
            match Box::pin(self.bounded(self.pool.begin_with(AssertSqlSafe(begin.clone())))).await {
                // By another program that starts at the same time: the next look finds it.
                Err(error) if is_made(&error) && !was_made => was_made = true,
                begun => break begun.map_err(failed("begin a transaction"))?,
            }
        };
        Ok(PgTx { model: model.clone(), link: Link::Own(transaction), publishes: false })
    }

    async fn commit(&self, mut tx: PgTx) -> Result<(), StoreError> {
        if tx.publishes {
            // Not before: whoever queries the views waits from here on.
            swap_views(&mut tx).await?;
        }
        let lost = |error: sqlx::Error| match is_lost(&error) {
            true => StoreError::new(StoreErrorKind::UnknownOutcome, "the connection was lost in a commit").caused_by(error),
            false => failed("commit")(error),
        };
        match tx.link {
            Link::Own(transaction) => self.bounded(transaction.commit()).await.map_err(lost),
            Link::Append(_) => Err(StoreError::new(StoreErrorKind::Invalid, "it is committed with the append that it is of")),
        }
    }

    async fn record(&self, tx: &mut PgTx, key: &str) -> Result<Option<String>, StoreError> {
        let value = sqlx::query_scalar("SELECT value FROM factum_read.records WHERE key = $1").bind(key.to_owned());
        let value: Option<String> = self.bounded(value.fetch_optional(tx.connection())).await.map_err(failed("read a record"))?;
        Ok(value.map(unescaped))
    }

    async fn replace(&self, tx: &mut PgTx, key: &str, old: Option<&str>, new: Option<&str>) -> Result<bool, StoreError> {
        let (key, old, new) = (key.to_owned(), old.map(escaped), new.map(escaped));
        // Each waits for whoever writes the same record, and then looks at what that one has left.
        let statement = match (old, new) {
            (None, None) => return Ok(self.record(tx, &key).await?.is_none()),
            (None, Some(new)) => {
                sqlx::query("INSERT INTO factum_read.records VALUES ($1, $2) ON CONFLICT DO NOTHING").bind(key).bind(new)
            }
            (Some(old), None) => sqlx::query("DELETE FROM factum_read.records WHERE key = $1 AND value = $2").bind(key).bind(old),
            (Some(old), Some(new)) => sqlx::query("UPDATE factum_read.records SET value = $3 WHERE key = $1 AND value = $2")
                .bind(key)
                .bind(old)
                .bind(new),
        };
        let done = self.bounded(statement.execute(tx.connection())).await.map_err(failed("write a record"))?;
        Ok(done.rows_affected() == 1)
    }

    async fn records(&self, prefix: &str, after: &str, limit: usize) -> Result<Vec<Record>, StoreError> {
        // None that begins with the prefix is after the prefix and the last character.
        let rows = sqlx::query_as(
            "SELECT key, value FROM factum_read.records WHERE $1 <= key AND key < $2 AND $3 < key ORDER BY key LIMIT $4",
        )
        .bind(prefix.to_owned())
        .bind(format!("{prefix}\u{10ffff}"))
        .bind(after.to_owned())
        .bind(i64::try_from(limit).unwrap_or(i64::MAX));
        let rows: Vec<(String, String)> = self.bounded(rows.fetch_all(&self.pool)).await.map_err(failed("read records"))?;
        Ok(rows.into_iter().map(|(key, value)| Record { key, value: unescaped(value) }).collect())
    }

    async fn publish(&self, tx: &mut PgTx) -> Result<(), StoreError> {
        check_names(tx).await?;
        tx.publishes = true;
        Ok(())
    }

    async fn drop_tables(&self, tx: &mut PgTx) -> Result<(), StoreError> {
        let model = tx.model.clone();
        drop_tables(tx.connection(), &model).await
    }

    async fn now(&self) -> Result<Timestamp, StoreError> {
        let now = "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint";
        self.bounded(sqlx::query_scalar(now).fetch_one(&self.pool))
            .await
            .map(Timestamp::from_micros)
            .map_err(failed("read the clock"))
    }

    fn is_transient(error: &(dyn Error + 'static)) -> bool {
        error.downcast_ref::<sqlx::Error>().is_some_and(crate::error::is_transient)
            || error.downcast_ref::<StoreError>().is_some_and(|error| error.kind() == StoreErrorKind::Unavailable)
    }
}

/// What a text begins with that is escaped: no text of the runtime's does.
const ESCAPED: char = '\u{e000}';

/// The text as PostgreSQL takes it, which has no NUL.
fn escaped(text: &str) -> String {
    if !text.contains('\0') && !text.starts_with(ESCAPED) {
        return text.to_owned();
    }
    format!("{ESCAPED}{}", text.replace('\\', "\\\\").replace('\0', "\\0"))
}

/// The text that was escaped.
fn unescaped(text: String) -> String {
    let Some(escaped) = text.strip_prefix(ESCAPED) else { return text };
    let mut characters = escaped.chars();
    let mut unescaped = String::with_capacity(escaped.len());
    while let Some(character) = characters.next() {
        unescaped.push(match (character, character == '\\') {
            (_, true) => {
                if characters.next() == Some('0') {
                    '\0'
                } else {
                    '\\'
                }
            }
            (plain, false) => plain,
        });
    }
    unescaped
}

/// Refuses to publish tables whose plain names are something else's.
pub(crate) async fn check_names(tx: &mut PgTx) -> Result<(), StoreError> {
    let projection = tx.model.projection().to_owned();
    for table in own_tables(tx).await? {
        let taken: Option<String> = sqlx::query_scalar(
            "SELECT CASE c.relkind WHEN 'v' THEN 'view' ELSE 'table' END FROM pg_class c
             WHERE c.relnamespace = current_schema()::regnamespace AND c.relname = $1 AND NOT EXISTS (
                 SELECT FROM factum_read.views v WHERE v.schema = current_schema() AND v.name = $1 AND v.projection = $2
             )",
        )
        .bind(table.clone())
        .bind(projection.clone())
        .fetch_optional(tx.connection())
        .await
        .map_err(failed("look for a name"))?;
        if let Some(kind) = taken {
            let message = format!(
                "the {kind} {table} is not the projection {projection}'s, and so cannot mean its table: name one of them anew"
            );
            return Err(StoreError::new(StoreErrorKind::Invalid, message));
        }
    }
    Ok(())
}

/// Has the plain names mean the tables of the transaction's read model. It waits for queries on them for a moment alone, since
/// whoever queries them next waits behind it.
pub(crate) async fn swap_views(tx: &mut PgTx) -> Result<(), StoreError> {
    let (model, projection) = (tx.model.to_string(), tx.model.projection().to_owned());
    let bound = sqlx::query("SELECT set_config('lock_timeout', $1, true)").bind(SWAP_WAIT.as_millis().to_string());
    bound.execute(tx.connection()).await.map_err(failed("bound the swap"))?;
    drop_views(tx.connection(), "projection", projection.clone()).await?;
    for table in own_tables(tx).await? {
        let view = format!("CREATE VIEW {0} AS SELECT * FROM {1}.{0}", quoted(&table), schema(&tx.model));
        tx.connection().execute(AssertSqlSafe(view)).await.map_err(failed("publish a table"))?;
        sqlx::query("INSERT INTO factum_read.views VALUES (current_schema(), $1, $2, $3)")
            .bind(table)
            .bind(model.clone())
            .bind(projection.clone())
            .execute(tx.connection())
            .await
            .map_err(failed("publish a table"))?;
    }
    Ok(())
}

/// The tables and views of the transaction's read model.
async fn own_tables(tx: &mut PgTx) -> Result<Vec<String>, StoreError> {
    let model = tx.model.to_string();
    sqlx::query_scalar(
        "SELECT c.relname::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
         WHERE n.nspname = $1 AND c.relkind IN ('r', 'p', 'v', 'm') ORDER BY 1",
    )
    .bind(model)
    .fetch_all(tx.connection())
    .await
    .map_err(failed("list the tables of a read model"))
}

/// Drops the tables of a read model, and the views that mean them.
pub(crate) async fn drop_tables(connection: &mut PgConnection, model: &ReadModelName) -> Result<(), StoreError> {
    drop_views(connection, "model", model.to_string()).await?;
    let drop = AssertSqlSafe(format!("DROP SCHEMA IF EXISTS {} CASCADE", schema(model)));
    connection.execute(drop).await.map_err(failed("drop tables"))?;
    Ok(())
}

/// Drops the views that were published for a read model, or for all of a projection.
async fn drop_views(connection: &mut PgConnection, column: &'static str, value: String) -> Result<(), StoreError> {
    let delete = AssertSqlSafe(format!("DELETE FROM factum_read.views WHERE {column} = $1 RETURNING schema, name"));
    let views: Vec<(String, String)> =
        sqlx::query_as(delete).bind(value).fetch_all(&mut *connection).await.map_err(failed("forget views"))?;
    for (schema, view) in views {
        let drop = AssertSqlSafe(format!("DROP VIEW IF EXISTS {}.{}", quoted(&schema), quoted(&view)));
        connection.execute(drop).await.map_err(failed("drop a view"))?;
    }
    Ok(())
}

impl fmt::Debug for PgDb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PgDb")
    }
}
