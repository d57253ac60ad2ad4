//! A PostgreSQL database with read models in it.

use std::error::Error;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use factum::{ReadDb, ReadModelName, Record, StoreError, StoreErrorKind, Timestamp};
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use sqlx::{AssertSqlSafe, ConnectOptions, Executor};

use crate::error::failed;
use crate::names::{quoted, schema};
use crate::read_tx::PgTx;

/// The most connections of [`PgDb::pool`], for queries and projections together, unless other options are given.
pub const READ_CONNECTIONS: u32 = 16;

/// How long is waited for a connection: while the server is away, that is how long each try takes.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a swap waits for the queries on the tables that it replaces, before it gives way to them and is tried again.
pub const SWAP_WAIT: Duration = Duration::from_millis(200);

/// A database that read models are kept in, beside whatever else is in it. Clones share its connections.
///
/// Each read model has a schema of its own, named after it. The plain names of its tables are views in the schema that the
/// connection creates tables in, usually `public`. The runtime's own records are in the schema `factum_read`.
#[derive(Clone)]
pub struct PgDb {
    pool: PgPool,
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

/// The format of these tables that this program knows.
const FORMAT: u32 = 1;

impl PgDb {
    /// Opens the database at a URL such as `postgres://user@host:5432/database`.
    ///
    /// # Errors
    /// [`StoreError`] where it cannot be reached, or its read models are of a newer Factum.
    pub async fn open(url: &str) -> Result<Self, StoreError> {
        let invalid = |error| StoreError::new(StoreErrorKind::Invalid, "it is no URL of PostgreSQL").caused_by(error);
        Self::with_options(PgConnectOptions::from_str(url).map_err(invalid)?).await
    }

    /// Opens a database by sqlx's options.
    ///
    /// # Errors
    /// As [`PgDb::open`].
    pub async fn with_options(options: PgConnectOptions) -> Result<Self, StoreError> {
        // That something exists already is what is usual.
        let options = options.options([("client_min_messages", "warning")]);
        let mut connection = options.connect().await.map_err(failed("connect"))?;
        connection.execute(TABLES).await.map_err(failed("make the tables of the runtime"))?;
        let format: String = sqlx::query_scalar("SELECT value FROM factum_read.records WHERE key = 'factum/format'")
            .fetch_one(&mut connection)
            .await
            .map_err(failed("read the format"))?;
        if format.parse::<u32>().ok().is_none_or(|format| FORMAT < format) {
            let message =
                format!("its read models are in format {format}, and this program knows {FORMAT}: run the newer program");
            return Err(StoreError::new(StoreErrorKind::Unsupported, message));
        }
        Ok(Self {
            pool: PgPoolOptions::new()
                .max_connections(READ_CONNECTIONS)
                .acquire_timeout(ACQUIRE_TIMEOUT)
                .connect_lazy_with(options),
        })
    }

    /// Connections for queries, on the plain names of tables: what they mean is live, and whole.
    ///
    /// Name the columns that a query is about: a statement that was prepared with `SELECT *` fails, once, where another version
    /// with other columns is swapped in.
    pub fn pool(&self) -> &PgPool {
        &self.pool
    }
}

impl ReadDb for PgDb {
    type Tx = PgTx;

    async fn begin(&self, model: &ReadModelName) -> Result<PgTx, StoreError> {
        // In one round trip, though the schema is there but for the first time.
        let begin = AssertSqlSafe(format!("BEGIN; CREATE SCHEMA IF NOT EXISTS {}", schema(model)));
        let transaction = self.pool.begin_with(begin).await.map_err(failed("begin a transaction"))?;
        Ok(PgTx { model: model.clone(), transaction, publishes: false })
    }

    async fn commit(&self, mut tx: PgTx) -> Result<(), StoreError> {
        if tx.publishes {
            // Not before: whoever queries the views waits from here on.
            swap_views(&mut tx).await?;
        }
        let lost = |error: sqlx::Error| match crate::error::is_lost(&error) {
            true => StoreError::new(StoreErrorKind::UnknownOutcome, "the connection was lost in a commit").caused_by(error),
            false => failed("commit")(error),
        };
        tx.transaction.commit().await.map_err(lost)
    }

    async fn record(&self, tx: &mut PgTx, key: &str) -> Result<Option<String>, StoreError> {
        let value = sqlx::query_scalar("SELECT value FROM factum_read.records WHERE key = $1").bind(key.to_owned());
        let value: Option<String> = value.fetch_optional(tx.connection()).await.map_err(failed("read a record"))?;
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
        let done = statement.execute(tx.connection()).await.map_err(failed("write a record"))?;
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
        let rows: Vec<(String, String)> = rows.fetch_all(&self.pool).await.map_err(failed("read records"))?;
        Ok(rows.into_iter().map(|(key, value)| Record { key, value: unescaped(value) }).collect())
    }

    async fn publish(&self, tx: &mut PgTx) -> Result<(), StoreError> {
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
        tx.publishes = true;
        Ok(())
    }

    async fn drop_tables(&self, tx: &mut PgTx) -> Result<(), StoreError> {
        let model = tx.model.to_string();
        drop_views(tx, "model", model).await?;
        let drop = AssertSqlSafe(format!("DROP SCHEMA IF EXISTS {} CASCADE", schema(&tx.model)));
        tx.connection().execute(drop).await.map_err(failed("drop tables"))?;
        Ok(())
    }

    async fn now(&self) -> Result<Timestamp, StoreError> {
        let now = "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint";
        sqlx::query_scalar(now).fetch_one(&self.pool).await.map(Timestamp::from_micros).map_err(failed("read the clock"))
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

/// Has the plain names mean the tables of the transaction's read model. It waits for queries on them for a moment alone, since
/// whoever queries them next waits behind it.
async fn swap_views(tx: &mut PgTx) -> Result<(), StoreError> {
    let (model, projection) = (tx.model.to_string(), tx.model.projection().to_owned());
    let bound = sqlx::query("SELECT set_config('lock_timeout', $1, true)").bind(SWAP_WAIT.as_millis().to_string());
    bound.execute(tx.connection()).await.map_err(failed("bound the swap"))?;
    drop_views(tx, "projection", projection.clone()).await?;
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

/// Drops the views that were published for a read model, or for all of a projection.
async fn drop_views(tx: &mut PgTx, column: &'static str, value: String) -> Result<(), StoreError> {
    let delete = AssertSqlSafe(format!("DELETE FROM factum_read.views WHERE {column} = $1 RETURNING schema, name"));
    let views: Vec<(String, String)> =
        sqlx::query_as(delete).bind(value).fetch_all(tx.connection()).await.map_err(failed("forget views"))?;
    for (schema, view) in views {
        let drop = AssertSqlSafe(format!("DROP VIEW IF EXISTS {}.{}", quoted(&schema), quoted(&view)));
        tx.connection().execute(drop).await.map_err(failed("drop a view"))?;
    }
    Ok(())
}

impl fmt::Debug for PgDb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PgDb")
    }
}
