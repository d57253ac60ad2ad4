//! The PostgreSQL server that all systems share, each in a database of its own.

use std::path::Path;

use anyhow::Result;
use factum_postgres::testing::Server;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use tokio::runtime::Runtime;

/// A running server; it ends with this process.
pub(crate) struct Databases {
    server: Server,
    runtime: Runtime,
    created: u64,
}

/// One database.
pub(crate) struct Database {
    name: String,
    /// How to connect.
    pub url: String,
}

impl Databases {
    /// Starts a server in a folder, with its own settings: what is committed is synced.
    ///
    /// # Errors
    /// Where the machine has no means left; the process ends where there is no PostgreSQL.
    pub(crate) fn start(folder: &Path) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        Ok(Self { server: Server::start_in(folder, &["max_connections=300"]), runtime, created: 0 })
    }

    /// Makes a new, empty database.
    pub(crate) fn create(&mut self) -> Database {
        self.created += 1;
        let name = format!("bench_{}", self.created);
        let url = self.runtime.block_on(self.server.create_database(&name));
        Database { name, url }
    }

    /// Has PostgreSQL look at what a database holds now, as it would by itself sooner or later.
    ///
    /// # Errors
    /// Where the server fails.
    pub(crate) fn analyse(&self, database: &Database) -> Result<()> {
        self.execute(&database.url, "VACUUM ANALYZE".to_owned())
    }

    /// Removes a database that nobody is to use any more. What it left to be written is written then.
    ///
    /// # Errors
    /// Where the server fails.
    pub(crate) fn remove(&self, database: &Database) -> Result<()> {
        self.execute(&self.server.url(), format!("DROP DATABASE {} WITH (FORCE)", database.name))
    }

    /// What the server says that it is.
    ///
    /// # Errors
    /// Where the server fails.
    pub(crate) fn version(&self) -> Result<String> {
        self.runtime.block_on(async {
            let mut connection = PgConnection::connect(&self.server.url()).await?;
            let version: String = sqlx::query_scalar("SHOW server_version").fetch_one(&mut connection).await?;
            Ok(version.split(' ').next().unwrap_or_default().to_owned())
        })
    }

    fn execute(&self, url: &str, statement: String) -> Result<()> {
        self.runtime.block_on(async {
            let mut connection = PgConnection::connect(url).await?;
            connection.execute(AssertSqlSafe(statement)).await?;
            Ok(connection.close().await?)
        })
    }
}
