//! Logs: a database has many, each a world of its own.

use factum::{StoreError, StoreErrorKind};
use sqlx::Connection;
use sqlx::postgres::PgConnection;

use crate::error::failed;

/// The longest name of a log, in bytes.
pub const LOG_NAME_BYTES_MAX: usize = 63;

/// Refuses what is no name of a log.
pub(crate) fn check_name(name: &str) -> Result<(), StoreError> {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    if (1..=LOG_NAME_BYTES_MAX).contains(&name.len()) && name.bytes().all(is_allowed) {
        return Ok(());
    }
    let message = format!("{name:?} names no log: write it in up to {LOG_NAME_BYTES_MAX} letters, digits, `_`, `-` and `.`");
    Err(StoreError::new(StoreErrorKind::Invalid, message))
}

/// The number of a log; `None` where there is none of that name.
pub(crate) async fn find(connection: &mut PgConnection, name: &str) -> Result<Option<i32>, StoreError> {
    check_name(name)?;
    let log = sqlx::query_scalar("SELECT log FROM factum.logs WHERE name = $1").bind(name.to_owned());
    log.fetch_optional(connection).await.map_err(failed("look for the log"))
}

/// Makes a log, if there is none of that name; whether it did.
pub(crate) async fn create(connection: &mut PgConnection, name: &str) -> Result<bool, StoreError> {
    check_name(name)?;
    let insert = sqlx::query("INSERT INTO factum.logs (name) VALUES ($1) ON CONFLICT DO NOTHING").bind(name.to_owned());
    Ok(insert.execute(connection).await.map_err(failed("create the log"))?.rows_affected() == 1)
}

/// The names of all logs.
pub(crate) async fn list(connection: &mut PgConnection) -> Result<Vec<String>, StoreError> {
    sqlx::query_scalar("SELECT name FROM factum.logs ORDER BY name").fetch_all(connection).await.map_err(failed("list the logs"))
}

/// Tables with rows of logs, those that others depend on last.
const TABLES: [&str; 6] = ["tags", "ids", "consumers", "streams", "events", "logs"];

/// Drops a log with all that is in it; whether there was one.
pub(crate) async fn drop(connection: &mut PgConnection, name: &str) -> Result<bool, StoreError> {
    let Some(log) = find(connection, name).await? else { return Ok(false) };
    let mut tx = connection.begin().await.map_err(failed("begin to drop the log"))?;
    // Whoever appends has its turn before, and finds no log after.
    for statement in ["SELECT pg_advisory_xact_lock(1717658484, $1)", "SELECT set_config('factum.drops_log', 'yes', $1 > 0)"] {
        sqlx::query(statement).bind(log).execute(&mut *tx).await.map_err(failed("wait for the log's turn"))?;
    }
    for table in TABLES {
        let delete = sqlx::AssertSqlSafe(format!("DELETE FROM factum.{table} WHERE log = $1"));
        sqlx::query(delete).bind(log).execute(&mut *tx).await.map_err(failed("drop the log"))?;
    }
    tx.commit().await.map_err(failed("drop the log"))?;
    Ok(true)
}

/// What a store is answered with whose log is not there any more.
pub(crate) fn dropped() -> StoreError {
    StoreError::new(StoreErrorKind::NotFound, "the log is dropped: create it, and open it again")
}
