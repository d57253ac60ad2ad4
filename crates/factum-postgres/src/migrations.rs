//! Migrations: the schema `factum` of a database, brought to what this program knows.

use factum::{StoreError, StoreErrorKind};
use sqlx::postgres::PgConnection;
use sqlx::{Connection, Executor};

use crate::error::failed;

/// What makes each version of the schema of the one before it.
const MIGRATIONS: &[&str] = &[
    include_str!("../migrations/1_log.sql"),
    include_str!("../migrations/2_append.sql"),
    include_str!("../migrations/3_archive.sql"),
];

/// The version of the schema that this program knows, counted from 1.
pub const SCHEMA_VERSION: i32 = MIGRATIONS.len() as i32;

/// Of two programs that migrate at once one waits for the other. Logs have this class and their own number, counted from 1.
const LOCK: &str = "SELECT pg_advisory_xact_lock(1717658484, 0)";

/// What the first migration stands on.
const BEFORE: &str = "
    CREATE SCHEMA IF NOT EXISTS factum;
    CREATE TABLE IF NOT EXISTS factum.migrations (
        version int PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT clock_timestamp()
    );";

/// Brings the schema to the version of this program; which one it was before, 0 where there was none.
pub(crate) async fn migrate(connection: &mut PgConnection) -> Result<i32, StoreError> {
    let before = version(connection).await?;
    if before == SCHEMA_VERSION {
        return Ok(before);
    }
    check_encoding(connection).await?;
    let mut tx = connection.begin().await.map_err(failed("begin a migration"))?;
    tx.execute(LOCK).await.map_err(failed("wait for another migration"))?;
    tx.execute(BEFORE).await.map_err(failed("make the schema factum"))?;
    // Another may have been faster.
    let there = version(&mut tx).await?;
    for (migration, number) in MIGRATIONS.iter().zip(1..).filter(|(_, number)| there < *number) {
        tx.execute(*migration).await.map_err(failed("migrate the schema factum"))?;
        let insert = sqlx::query("INSERT INTO factum.migrations (version) VALUES ($1)").bind(number);
        insert.execute(&mut *tx).await.map_err(failed("write a migration down"))?;
    }
    tx.commit().await.map_err(failed("commit a migration"))?;
    Ok(before)
}

/// Refuses a schema that is not the one of this program.
pub(crate) async fn check(connection: &mut PgConnection) -> Result<(), StoreError> {
    match version(connection).await? {
        SCHEMA_VERSION => Ok(()),
        0 => Err(StoreError::new(StoreErrorKind::NotFound, "there is no store in this database: run `factum migrate`")),
        older => {
            let message =
                format!("its schema has version {older}, and this program needs {SCHEMA_VERSION}: run `factum migrate`");
            Err(StoreError::new(StoreErrorKind::Unsupported, message))
        }
    }
}

/// The version of the schema that is there; 0 where there is none. A newer one is refused.
async fn version(connection: &mut PgConnection) -> Result<i32, StoreError> {
    let exists: bool = sqlx::query_scalar("SELECT to_regclass('factum.migrations') IS NOT NULL")
        .fetch_one(&mut *connection)
        .await
        .map_err(failed("look for the schema factum"))?;
    if !exists {
        return Ok(0);
    }
    let version: i32 = sqlx::query_scalar("SELECT coalesce(max(version), 0) FROM factum.migrations")
        .fetch_one(&mut *connection)
        .await
        .map_err(failed("read the version of the schema factum"))?;
    if SCHEMA_VERSION < version {
        let message = format!("its schema has version {version}, and this program knows {SCHEMA_VERSION}: run the newer program");
        return Err(StoreError::new(StoreErrorKind::Unsupported, message));
    }
    Ok(version)
}

async fn check_encoding(connection: &mut PgConnection) -> Result<(), StoreError> {
    let encoding: String = sqlx::query_scalar("SELECT current_setting('server_encoding')")
        .fetch_one(connection)
        .await
        .map_err(failed("read the encoding of the database"))?;
    if encoding != "UTF8" {
        let message = format!("the database's encoding is {encoding}: make one with `CREATE DATABASE … ENCODING 'UTF8'`");
        return Err(StoreError::new(StoreErrorKind::Unsupported, message));
    }
    Ok(())
}
