//! A transaction: what a projection writes to.

use std::sync::Arc;

use factum::ReadModelName;
use sqlx::query::Query;
use sqlx::sqlite::{Sqlite, SqliteArguments, SqliteConnection};
use sqlx::{AssertSqlSafe, SqlStr};
use tokio::sync::OwnedMutexGuard;

use crate::db::Writer;

/// A transaction on the tables of one read model.
pub struct SqliteTx {
    pub(crate) model: ReadModelName,
    pub(crate) writer: OwnedMutexGuard<Writer>,
}

impl SqliteTx {
    /// A statement, to be bound and executed on [`connection`](Self::connection). A name in braces is a table of this read model,
    /// or anything else that its tables have, such as an index: `{accounts}`.
    pub fn query(&mut self, sql: &'static str) -> Query<'static, Sqlite, SqliteArguments> {
        sqlx::query(AssertSqlSafe(self.resolve(sql)))
    }

    /// The text of a statement with the names in braces resolved, for sqlx's other functions:
    /// `sqlx::query_scalar(tx.sql("SELECT cents FROM {accounts}"))`.
    pub fn sql(&mut self, sql: &'static str) -> impl sqlx::SqlSafeStr + use<> {
        AssertSqlSafe(self.resolve(sql))
    }

    /// What statements are executed on. The transaction is the database's: neither commit it nor roll it back by hand.
    pub fn connection(&mut self) -> &mut SqliteConnection {
        &mut self.writer.connection
    }

    /// Each statement of the program is resolved once for each read model.
    fn resolve(&mut self, sql: &'static str) -> Arc<str> {
        let resolved = self.writer.resolved.entry(self.model.clone()).or_default().entry(sql);
        resolved.or_insert_with(|| crate::names::resolve(sql, &self.model).into()).clone()
    }
}

impl std::fmt::Debug for SqliteTx {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SqliteTx").field("model", &self.model).finish_non_exhaustive()
    }
}

/// A statement of this crate's, with names in it.
pub(crate) fn own(sql: String) -> SqlStr {
    sqlx::SqlSafeStr::into_sql_str(AssertSqlSafe(sql))
}
