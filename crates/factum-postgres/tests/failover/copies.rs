//! A projection that keeps each event's position and id, and counts how often it was applied.

use std::borrow::Cow;

use factum::{HandlerError, Projection, TypedEvent};
use factum_postgres::{PgDb, PgTx};

/// One of several of its kind, each with a table of its own.
pub(crate) struct Copies {
    name: String,
    create: &'static str,
    insert: &'static str,
}

impl Copies {
    pub(crate) fn new(number: usize) -> Self {
        let create = format!("CREATE TABLE {{copies_{number}}} (position bigint PRIMARY KEY, id text, applied bigint)");
        let insert = format!(
            "INSERT INTO {{copies_{number}}} AS c VALUES ($1, $2, 1) ON CONFLICT (position) DO UPDATE SET applied = c.applied + 1"
        );
        Self { name: format!("copies-{number}"), create: create.leak(), insert: insert.leak() }
    }
}

impl Projection for Copies {
    const NAME: &'static str = "copies";
    const VERSION: u32 = 1;
    type Events = ();
    type Db = PgDb;

    fn name(&self) -> Cow<'_, str> {
        Cow::Borrowed(&self.name)
    }

    async fn create(&self, tx: &mut PgTx) -> Result<(), HandlerError> {
        tx.query(self.create).execute(tx.connection()).await?;
        Ok(())
    }

    async fn apply(&self, tx: &mut PgTx, event: &TypedEvent<()>) -> Result<(), HandlerError> {
        let (position, id) = (i64::try_from(event.position.get())?, event.id.to_string());
        tx.query(self.insert).bind(position).bind(id).execute(tx.connection()).await?;
        Ok(())
    }
}

/// What one of them has: position, id, and how often it was applied.
pub(crate) async fn rows(db: &PgDb, number: usize) -> Vec<(i64, String, i64)> {
    let select = format!("SELECT position, id, applied FROM copies_{number} ORDER BY position");
    sqlx::query_as(sqlx::AssertSqlSafe(select)).fetch_all(db.pool()).await.unwrap()
}
