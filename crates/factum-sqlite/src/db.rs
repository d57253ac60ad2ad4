//! A SQLite database with read models in it.

use std::collections::HashMap;
use std::error::Error;
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use factum::{ReadDb, ReadModelName, Record, StoreError, StoreErrorKind, Timestamp};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions, Executor};
use tempfile::TempDir;
use tokio::sync::Mutex;

use crate::error::{self, failed};
use crate::names::{prefix, quoted};
use crate::tx::{SqliteTx, own};

/// How long a statement waits for the lock of another process before it fails, and is tried again.
pub const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

/// The most connections of [`SqliteDb::pool`].
pub const READERS_MAX: u32 = 8;

/// A SQLite file that read models are kept in, beside whatever else is in it. Clones share it.
///
/// It is in WAL mode, so queries never wait for a projection nor it for them, and `synchronous` is `NORMAL`: a power cut may take
/// back the last commits, tables and checkpoints together, and then the same events are applied again.
#[derive(Clone)]
pub struct SqliteDb {
    writer: Arc<Mutex<Writer>>,
    pool: SqlitePool,
    /// For the runtime's own reads.
    records: SqlitePool,
    _folder: Option<Arc<TempDir>>,
}

/// The one connection of this process that writes read models.
pub(crate) struct Writer {
    pub(crate) connection: SqliteConnection,
    /// Whether a transaction was begun that is not known to be over.
    open: bool,
    /// Statements, as they are for a read model.
    pub(crate) resolved: HashMap<ReadModelName, HashMap<&'static str, Arc<str>>>,
}

/// The most connections of the runtime's own reads.
const RECORDS_MAX: u32 = 2;

/// What the runtime keeps, and whose the plain names are.
const TABLES: &str = "
    CREATE TABLE IF NOT EXISTS factum_records (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS factum_views (name TEXT PRIMARY KEY, model TEXT NOT NULL, projection TEXT NOT NULL) WITHOUT ROWID;
    INSERT OR IGNORE INTO factum_records VALUES ('factum/format', '1');";

/// The format of these tables that this program knows.
const FORMAT: u32 = 1;

impl SqliteDb {
    /// Opens a file; creates it where there is none.
    ///
    /// # Errors
    /// [`StoreError`] where it is no database, or one of a newer Factum, or cannot be opened.
    pub async fn open(path: impl AsRef<Path>) -> Result<Self, StoreError> {
        Self::with_options(SqliteConnectOptions::new().filename(path).create_if_missing(true)).await
    }

    /// A database of its own, which is deleted with the last clone of it: for tests.
    ///
    /// # Errors
    /// [`StoreError`] where there is no place for it.
    pub async fn temporary() -> Result<Self, StoreError> {
        let no_folder = |error| StoreError::new(StoreErrorKind::Unavailable, "cannot make a temporary folder").caused_by(error);
        let folder = TempDir::new().map_err(no_folder)?;
        let db = Self::open(folder.path().join("read.sqlite")).await?;
        Ok(Self { _folder: Some(Arc::new(folder)), ..db })
    }

    /// Opens a file by sqlx's options. Journal mode, `synchronous` and the busy timeout are set by this, since read models depend
    /// on them.
    ///
    /// # Errors
    /// As [`SqliteDb::open`].
    pub async fn with_options(options: SqliteConnectOptions) -> Result<Self, StoreError> {
        let options = options
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Normal)
            .busy_timeout(BUSY_TIMEOUT)
            .optimize_on_close(false, None);
        let mut connection = options.connect().await.map_err(failed("open the database of read models"))?;
        connection.execute(TABLES).await.map_err(failed("make the tables of the runtime"))?;
        let format: String = sqlx::query_scalar("SELECT value FROM factum_records WHERE key = 'factum/format'")
            .fetch_one(&mut connection)
            .await
            .map_err(failed("read the format"))?;
        if format.parse::<u32>().ok().is_none_or(|format| FORMAT < format) {
            let message =
                format!("its read models are in format {format}, and this program knows {FORMAT}: run the newer program");
            return Err(StoreError::new(StoreErrorKind::Unsupported, message));
        }
        let writer = Writer { connection, open: false, resolved: HashMap::new() };
        let records = SqlitePoolOptions::new().max_connections(RECORDS_MAX).connect_lazy_with(options.clone());
        // A statement that is kept knows the columns of the tables that were live when it was prepared.
        let options = options.statement_cache_capacity(0);
        let pool = SqlitePoolOptions::new().max_connections(READERS_MAX).connect_lazy_with(options);
        Ok(Self { writer: Arc::new(Mutex::new(writer)), pool, records, _folder: None })
    }

    /// Connections for queries, on the plain names of tables: what they mean is live, and whole.
    ///
    /// Name the columns that a query is about. Where another version of a projection has other ones and is swapped in while a
    /// `SELECT *` is on its way, sqlx takes the row of one version for that of the other.
    pub fn pool(&self) -> &SqlitePool {
        &self.pool
    }
}

impl ReadDb for SqliteDb {
    type Tx = SqliteTx;

    async fn begin(&self, model: &ReadModelName) -> Result<SqliteTx, StoreError> {
        // In turn: writers of this process do not poll for the lock, and none of them starves.
        let mut writer = self.writer.clone().lock_owned().await;
        if writer.open {
            // It was dropped, perhaps inside a statement; there may be nothing to roll back.
            let _ = writer.connection.execute("ROLLBACK").await;
        }
        writer.open = true;
        writer.connection.execute("BEGIN IMMEDIATE").await.map_err(failed("begin a transaction"))?;
        Ok(SqliteTx { model: model.clone(), writer })
    }

    async fn commit(&self, mut tx: SqliteTx) -> Result<(), StoreError> {
        tx.connection().execute("COMMIT").await.map_err(failed("commit"))?;
        tx.writer.open = false;
        Ok(())
    }

    async fn record(&self, tx: &mut SqliteTx, key: &str) -> Result<Option<String>, StoreError> {
        let value = sqlx::query_scalar("SELECT value FROM factum_records WHERE key = ?").bind(key.to_owned());
        value.fetch_optional(tx.connection()).await.map_err(failed("read a record"))
    }

    async fn replace(&self, tx: &mut SqliteTx, key: &str, old: Option<&str>, new: Option<&str>) -> Result<bool, StoreError> {
        let (key, old, new) = (key.to_owned(), old.map(str::to_owned), new.map(str::to_owned));
        let statement = match (old, new) {
            (None, None) => return Ok(self.record(tx, &key).await?.is_none()),
            (None, Some(new)) => sqlx::query("INSERT OR IGNORE INTO factum_records VALUES (?, ?)").bind(key).bind(new),
            (Some(old), None) => sqlx::query("DELETE FROM factum_records WHERE key = ? AND value = ?").bind(key).bind(old),
            (Some(old), Some(new)) => {
                sqlx::query("UPDATE factum_records SET value = ?3 WHERE key = ?1 AND value = ?2").bind(key).bind(old).bind(new)
            }
        };
        let done = statement.execute(tx.connection()).await.map_err(failed("write a record"))?;
        Ok(done.rows_affected() == 1)
    }

    async fn records(&self, prefix: &str, after: &str, limit: usize) -> Result<Vec<Record>, StoreError> {
        // Texts are compared by their bytes, and none that begins with the prefix is after the prefix and the last character.
        let rows = sqlx::query_as(
            "SELECT key, value FROM factum_records WHERE ?1 <= key AND key < ?2 AND ?3 < key ORDER BY key LIMIT ?4",
        )
        .bind(prefix.to_owned())
        .bind(format!("{prefix}\u{10ffff}"))
        .bind(after.to_owned())
        .bind(i64::try_from(limit).unwrap_or(i64::MAX));
        let rows: Vec<(String, String)> = rows.fetch_all(&self.records).await.map_err(failed("read records"))?;
        Ok(rows.into_iter().map(|(key, value)| Record { key, value }).collect())
    }

    async fn publish(&self, tx: &mut SqliteTx) -> Result<(), StoreError> {
        let (model, projection) = (tx.model.to_string(), tx.model.projection().to_owned());
        drop_views(tx, "projection", projection.clone()).await?;
        for (_, table) in own_tables(tx).await? {
            let plain = table[prefix(&tx.model).len()..].to_owned();
            let taken: Option<String> = sqlx::query_scalar("SELECT type FROM sqlite_master WHERE name = ?")
                .bind(plain.clone())
                .fetch_optional(tx.connection())
                .await
                .map_err(failed("look for a name"))?;
            if let Some(kind) = taken {
                let message = format!(
                    "the {kind} {plain} is not the projection {projection}'s, and so cannot mean its table: name one of them anew"
                );
                return Err(StoreError::new(StoreErrorKind::Invalid, message));
            }
            let view = own(format!("CREATE VIEW {} AS SELECT * FROM {}", quoted(&plain), quoted(&table)));
            tx.connection().execute(view).await.map_err(failed("publish a table"))?;
            sqlx::query("INSERT INTO factum_views VALUES (?, ?, ?)")
                .bind(plain)
                .bind(model.clone())
                .bind(projection.clone())
                .execute(tx.connection())
                .await
                .map_err(failed("publish a table"))?;
        }
        Ok(())
    }

    async fn drop_tables(&self, tx: &mut SqliteTx) -> Result<(), StoreError> {
        let model = tx.model.to_string();
        drop_views(tx, "model", model).await?;
        tx.connection().execute("PRAGMA defer_foreign_keys = ON").await.map_err(failed("drop tables"))?;
        for (kind, table) in own_tables(tx).await? {
            let statement = own(format!("DROP {kind} {}", quoted(&table)));
            tx.connection().execute(statement).await.map_err(failed("drop a table"))?;
        }
        Ok(())
    }

    async fn now(&self) -> Result<Timestamp, StoreError> {
        let now = sqlx::query_scalar("SELECT CAST(unixepoch('subsec') * 1000000 AS INTEGER)").fetch_one(&self.records).await;
        now.map(Timestamp::from_micros).map_err(failed("read the clock"))
    }

    fn is_transient(error: &(dyn Error + 'static)) -> bool {
        error.downcast_ref::<sqlx::Error>().is_some_and(error::is_transient)
            || error.downcast_ref::<StoreError>().is_some_and(|error| error.kind() == StoreErrorKind::Unavailable)
    }
}

/// The tables and views of the transaction's read model, views first, with what SQL calls their kind.
async fn own_tables(tx: &mut SqliteTx) -> Result<Vec<(String, String)>, StoreError> {
    let prefix = prefix(&tx.model);
    sqlx::query_as(
        "SELECT type, name FROM sqlite_master WHERE type IN ('table', 'view') AND substr(name, 1, length(?1)) = ?1
         ORDER BY type DESC, name",
    )
    .bind(prefix)
    .fetch_all(tx.connection())
    .await
    .map_err(failed("list the tables of a read model"))
}

/// Drops the views that were published for a read model, or for all of a projection.
async fn drop_views(tx: &mut SqliteTx, column: &'static str, value: String) -> Result<(), StoreError> {
    let select = own(format!("SELECT name FROM factum_views WHERE {column} = ?"));
    let views: Vec<String> =
        sqlx::query_scalar(select).bind(value.clone()).fetch_all(tx.connection()).await.map_err(failed("list views"))?;
    for view in views {
        tx.connection().execute(own(format!("DROP VIEW IF EXISTS {}", quoted(&view)))).await.map_err(failed("drop a view"))?;
    }
    let delete = own(format!("DELETE FROM factum_views WHERE {column} = ?"));
    sqlx::query(delete).bind(value).execute(tx.connection()).await.map_err(failed("forget views"))?;
    Ok(())
}

impl fmt::Debug for SqliteDb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SqliteDb")
    }
}
