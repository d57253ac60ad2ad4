//! A transaction: what a projection writes to.

use factum::ReadModelName;
use sqlx::postgres::{PgArguments, PgConnection, Postgres};
use sqlx::query::Query;
use sqlx::{AssertSqlSafe, Transaction};

use crate::names::resolve;

/// A transaction on the tables of one read model.
pub struct PgTx {
    pub(crate) model: ReadModelName,
    pub(crate) link: Link,
    /// Whether the plain names are to mean its tables, from the commit on.
    pub(crate) publishes: bool,
}

impl PgTx {
    /// A statement, to be bound and executed on [`connection`](Self::connection). A name in braces is a table of this read model,
    /// or anything else that its tables have, such as an index: `{accounts}`.
    pub fn query(&mut self, sql: &'static str) -> Query<'static, Postgres, PgArguments> {
        sqlx::query(AssertSqlSafe(resolve(sql, &self.model)))
    }

    /// The text of a statement with the names in braces resolved, for sqlx's other functions:
    /// `sqlx::query_scalar(tx.sql("SELECT cents FROM {accounts}"))`.
    pub fn sql(&mut self, sql: &'static str) -> impl sqlx::SqlSafeStr + use<> {
        AssertSqlSafe(resolve(sql, &self.model))
    }

    /// What statements are executed on. The transaction is the database's: neither commit it nor roll it back by hand.
    pub fn connection(&mut self) -> &mut PgConnection {
        match &mut self.link {
            Link::Own(transaction) => transaction,
            Link::Append(connection) => connection,
        }
    }
}

/// What it is executed on.
pub(crate) enum Link {
    /// A transaction of its own.
    Own(Transaction<'static, Postgres>),
    /// A connection that is in the transaction of an append.
    Append(PgConnection),
}

impl std::fmt::Debug for PgTx {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PgTx").field("model", &self.model).finish_non_exhaustive()
    }
}
