//! Logs: a database has many, each a world of its own.

use std::time::Duration;

use factum::{ReadModelName, StoreError, StoreErrorKind};
use sqlx::Connection;
use sqlx::postgres::PgConnection;

use crate::error::{failed, is_waiting};
use crate::migrations;
use crate::read_db::drop_tables;
use crate::servers::{Role, Servers, hosts};

/// The longest name of a log, in bytes.
pub const LOG_NAME_BYTES_MAX: usize = 63;

/// The logs of a database: to be listed, created and dropped. A program that opens one needs none of this.
pub struct Logs {
    servers: Servers,
}

impl Logs {
    /// Those of the database at a URL, as [`Options::open`](crate::Options::open) takes it. Connects to nothing yet.
    ///
    /// # Errors
    /// [`StoreError`] where it is no such URL.
    pub fn at(url: &str) -> Result<Self, StoreError> {
        Ok(Self { servers: Servers::new(hosts(url)?, Role::Primary, 1, Duration::ZERO) })
    }

    /// Brings the schema of the database to the version of this program, [`SCHEMA_VERSION`](crate::SCHEMA_VERSION); which one it
    /// was before, 0 where there was none.
    ///
    /// # Errors
    /// [`StoreError`] where the database cannot be reached or changed, or its schema is newer.
    pub async fn migrate(&self) -> Result<i32, StoreError> {
        migrations::migrate(&mut self.servers.connect().await?.connection).await
    }

    /// Their names, in order.
    ///
    /// # Errors
    /// [`StoreError`] where the database cannot be reached, or has no store.
    pub async fn list(&self) -> Result<Vec<String>, StoreError> {
        let select = sqlx::query_scalar("SELECT name FROM factum.logs ORDER BY name");
        select.fetch_all(&mut self.connect().await?).await.map_err(failed("list the logs"))
    }

    /// Creates one; `false` where there is one of that name already.
    ///
    /// # Errors
    /// [`StoreError`] where it is no name, or the database cannot be reached, or has no store.
    pub async fn create(&self, name: &str) -> Result<bool, StoreError> {
        create(&mut self.connect().await?, name).await
    }

    /// Drops one with all that is in it, for good; `false` where there is none of that name. Stores that have it open fail.
    ///
    /// # Errors
    /// As [`create`](Self::create).
    pub async fn drop(&self, name: &str) -> Result<bool, StoreError> {
        let mut connection = self.connect().await?;
        let Some(log) = find(&mut connection, name).await? else { return Ok(false) };
        let mut tx = connection.begin().await.map_err(failed("begin to drop the log"))?;
        // Whoever appends has its turn before, and finds no log after.
        for statement in ["SELECT pg_advisory_xact_lock(1717658484, $1)", "SELECT set_config('factum.drops_log', 'yes', 0 < $1)"]
        {
            sqlx::query(statement).bind(log).execute(&mut *tx).await.map_err(failed("wait for the log's turn"))?;
        }
        for table in TABLES {
            let delete = sqlx::AssertSqlSafe(format!("DELETE FROM factum.{table} WHERE log = $1"));
            sqlx::query(delete).bind(log).execute(&mut *tx).await.map_err(failed("drop the log"))?;
        }
        tx.commit().await.map_err(failed("drop the log"))?;
        Ok(true)
    }

    /// Has a log keep a read model [inline](crate::Options::inline) no more, and drops its tables: programs that still would are
    /// refused, and those that do not are no longer. `false` where it is not kept.
    ///
    /// # Errors
    /// As [`create`](Self::create).
    pub async fn drop_inline(&self, name: &str, model: &ReadModelName) -> Result<bool, StoreError> {
        let mut connection = self.connect().await?;
        let Some(log) = find(&mut connection, name).await? else { return Ok(false) };
        let mut tx = connection.begin().await.map_err(failed("begin to drop the read model"))?;
        let turn = sqlx::query("SELECT pg_advisory_xact_lock(1717658484, $1)").bind(log);
        turn.execute(&mut *tx).await.map_err(failed("wait for the log's turn"))?;
        let delete = sqlx::query("DELETE FROM factum.inline WHERE log = $1 AND model = $2").bind(log).bind(model.to_string());
        if delete.execute(&mut *tx).await.map_err(failed("drop the read model"))?.rows_affected() == 0 {
            return Ok(false);
        }
        let update = sqlx::query("UPDATE factum.logs SET inline = array_remove(inline, $2) WHERE log = $1");
        update.bind(log).bind(model.to_string()).execute(&mut *tx).await.map_err(failed("drop the read model"))?;
        drop_tables(&mut tx, model).await?;
        tx.commit().await.map_err(failed("drop the read model"))?;
        Ok(true)
    }

    /// Detaches the oldest partition of the events, of all logs together; the name of the table that it is now, in the schema
    /// `factum`: to be dumped, and dropped. Whoever reads what was in it, or has to know of it to append, is told that it is
    /// archived.
    ///
    /// # Errors
    /// [`StoreError`] where it is not sealed, that is where a log has not passed it yet, and as [`create`](Self::create).
    pub async fn detach_oldest(&self) -> Result<String, StoreError> {
        self.archive("SELECT factum.detach_oldest()").await
    }

    /// Attaches the newest partition that was detached, restored to the table that it was dumped from; the partition's name.
    ///
    /// # Errors
    /// [`StoreError`] where nothing is archived, or there is no such table, or not with all of its events, and as
    /// [`create`](Self::create).
    pub async fn attach_newest(&self) -> Result<String, StoreError> {
        self.archive("SELECT factum.attach_newest()").await
    }

    async fn archive(&self, call: &'static str) -> Result<String, StoreError> {
        let mut connection = self.connect().await?;
        // Whoever reads holds it up, and whoever reads next waits behind it: so it gives way, and is tried again.
        let mut tries = 0;
        loop {
            let mut tx = connection.begin().await.map_err(failed("begin"))?;
            let bound = sqlx::query("SELECT set_config('lock_timeout', $1, true)").bind(ARCHIVE_WAIT.as_millis().to_string());
            bound.execute(&mut *tx).await.map_err(failed("bound it"))?;
            match sqlx::query_scalar(call).fetch_one(&mut *tx).await {
                Ok(name) => return tx.commit().await.map(|()| name).map_err(failed("commit")),
                Err(error) if is_waiting(&error) && tries < ARCHIVE_TRIES => tries += 1,
                Err(error) => return Err(failed("archive or attach a partition")(error)),
            }
            tx.rollback().await.map_err(failed("give way"))?;
            tokio::time::sleep(ARCHIVE_WAIT).await;
        }
    }

    async fn connect(&self) -> Result<PgConnection, StoreError> {
        let mut connection = self.servers.connect().await?.connection;
        // What it does takes as long as there are rows; it does not wait for others as long.
        let bound = sqlx::query("SELECT set_config('lock_timeout', $1, false)").bind(WAIT_MAX.as_millis().to_string());
        bound.execute(&mut connection).await.map_err(failed("bound it"))?;
        migrations::check(&mut connection).await?;
        Ok(connection)
    }
}

impl std::fmt::Debug for Logs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Logs")
    }
}

/// How long each of these waits for a transaction of others.
const WAIT_MAX: Duration = Duration::from_secs(30);

/// How long detaching a partition waits for whoever reads or appends, before it gives way; and how often it tries again.
const ARCHIVE_WAIT: Duration = Duration::from_millis(500);
const ARCHIVE_TRIES: u32 = 60;

/// Tables with rows of logs; that of the logs last.
const TABLES: [&str; 10] = ["tags", "ids", "consumers", "versions", "streams", "events", "epochs", "inline", "heads", "logs"];

/// The number of a log; `None` where there is none of that name.
pub(crate) async fn find(connection: &mut PgConnection, name: &str) -> Result<Option<i32>, StoreError> {
    check_log_name(name)?;
    let log = sqlx::query_scalar("SELECT log FROM factum.logs WHERE name = $1").bind(name.to_owned());
    log.fetch_optional(connection).await.map_err(failed("look for the log"))
}

/// Makes a log, if there is none of that name; whether it did.
pub(crate) async fn create(connection: &mut PgConnection, name: &str) -> Result<bool, StoreError> {
    check_log_name(name)?;
    if find(connection, name).await?.is_some() {
        return Ok(false);
    }
    // Not while a partition is detached, which takes the turns of all logs that there are.
    let insert = sqlx::query(
        "WITH turn AS MATERIALIZED (SELECT pg_advisory_xact_lock(1717658484, 0)), made AS (
             INSERT INTO factum.logs (name) SELECT $1 FROM turn ON CONFLICT DO NOTHING RETURNING log
         )
         INSERT INTO factum.heads (log, head) SELECT log, 0 FROM made",
    );
    let inserted = insert.bind(name.to_owned()).execute(connection).await.map_err(failed("create the log"))?;
    Ok(inserted.rows_affected() == 1)
}

/// Refuses what is no name of a log: letters, digits, `_`, `-` and `.`, up to [`LOG_NAME_BYTES_MAX`] of them, and not `.` or `..`
/// alone, which as names of folders mean others.
///
/// # Errors
/// [`StoreError`] of kind `Invalid`.
pub fn check_log_name(name: &str) -> Result<(), StoreError> {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    if (1..=LOG_NAME_BYTES_MAX).contains(&name.len()) && name.bytes().all(is_allowed) && !matches!(name, "." | "..") {
        return Ok(());
    }
    let message = format!("{name:?} names no log: write it in up to {LOG_NAME_BYTES_MAX} letters, digits, `_`, `-` and `.`");
    Err(StoreError::new(StoreErrorKind::Invalid, message))
}

/// What a store is answered with whose log is not there any more.
pub(crate) fn dropped() -> StoreError {
    StoreError::new(StoreErrorKind::NotFound, "the log is dropped: create it, and open it again")
}
