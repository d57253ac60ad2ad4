//! The servers of a database: one, or a primary with its standbys, of which another may be the primary at any time.

use std::str::FromStr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use factum::{StoreError, StoreErrorKind};
use sqlx::postgres::{PgConnectOptions, PgConnection, PgPool, PgPoolOptions};
use sqlx::{Connection, Executor};

use crate::error::failed;

/// How long one server has to answer before the next is asked.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// How long a statement waits for a connection of the pool.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(10);

/// Which of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// The one that can be written to.
    Primary,
    /// One that cannot, or the primary where there is none.
    Standby,
}

/// The servers of a database, and the connections that read from one of them.
pub(crate) struct Servers {
    hosts: Vec<PgConnectOptions>,
    role: Role,
    connections: u32,
    /// How long it is tried to read, and to append.
    pub(crate) patience: Duration,
    /// Those in use, and of which host.
    pool: Mutex<Option<PgPool>>,
}

impl Servers {
    pub(crate) fn new(hosts: Vec<PgConnectOptions>, role: Role, connections: u32, patience: Duration) -> Self {
        Self { hosts, role, connections, patience, pool: Mutex::new(None) }
    }

    /// Connections to a server of the role.
    pub(crate) async fn pool(&self) -> Result<PgPool, StoreError> {
        if let Some(pool) = self.current().clone() {
            return Ok(pool);
        }
        let host = self.find().await?;
        let is_standby = self.role == Role::Standby;
        let pool = PgPoolOptions::new()
            .max_connections(self.connections)
            .acquire_timeout(ACQUIRE_TIMEOUT)
            .after_connect(move |connection, _| {
                Box::pin(async move {
                    // A primary that came back as a standby would serve what is old.
                    if !is_standby && is_in_recovery(connection).await? {
                        return Err(sqlx::Error::Protocol("the server is not the primary any more".to_owned()));
                    }
                    Ok(())
                })
            })
            .connect_lazy_with(host);
        *self.current() = Some(pool.clone());
        Ok(pool)
    }

    /// A connection of its own to the primary.
    pub(crate) async fn connect(&self) -> Result<PgConnection, StoreError> {
        self.open().await.map(|(connection, _)| connection)
    }

    /// How to connect to a server of the role.
    pub(crate) async fn find(&self) -> Result<PgConnectOptions, StoreError> {
        let (connection, host) = self.open().await?;
        let _ = connection.close().await;
        Ok(host)
    }

    /// The server failed, or is not what it was: the next one to ask looks for another.
    pub(crate) fn lost(&self) {
        *self.current() = None;
    }

    fn current(&self) -> std::sync::MutexGuard<'_, Option<PgPool>> {
        self.pool.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn open(&self) -> Result<(PgConnection, PgConnectOptions), StoreError> {
        let mut other = None;
        let mut error = None;
        for host in &self.hosts {
            match tokio::time::timeout(CONNECT_TIMEOUT, open(host)).await {
                Ok(Ok((connection, standby))) if standby == (self.role == Role::Standby) => {
                    return Ok((connection, host.clone()));
                }
                Ok(Ok((connection, _))) if self.role == Role::Standby => other = Some((connection, host.clone())),
                Ok(Ok(_standby)) => {}
                Ok(Err(failure)) => error = Some(failed("connect")(failure)),
                Err(_late) => error = Some(unavailable("the server does not answer")),
            }
        }
        other.ok_or_else(|| error.unwrap_or_else(|| unavailable("none of the servers is a primary: wait until one is")))
    }
}

/// Connects, and asks whether it is a standby.
async fn open(host: &PgConnectOptions) -> sqlx::Result<(PgConnection, bool)> {
    let mut connection = PgConnection::connect_with(host).await?;
    let standby = is_in_recovery(&mut connection).await?;
    if !standby {
        // What is acknowledged is durable, whatever is usual in this database.
        connection
            .execute("SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'")
            .await?;
    }
    Ok((connection, standby))
}

async fn is_in_recovery(connection: &mut PgConnection) -> sqlx::Result<bool> {
    sqlx::query_scalar("SELECT pg_is_in_recovery()").fetch_one(connection).await
}

fn unavailable(message: &str) -> StoreError {
    StoreError::new(StoreErrorKind::Unavailable, message)
}

/// The servers in a URL as libpq has it, with one host or several: `postgres://user@one:5432,two:5433/database?sslmode=require`.
///
/// <https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNSTRING>
pub(crate) fn hosts(url: &str) -> Result<Vec<PgConnectOptions>, StoreError> {
    let invalid = |message: &str| StoreError::new(StoreErrorKind::Invalid, format!("{message}: write it like {EXAMPLE}"));
    let (scheme, rest) = url.split_once("://").ok_or_else(|| invalid("it is no URL"))?;
    if scheme != "postgres" && scheme != "postgresql" {
        return Err(invalid("it is no URL of PostgreSQL"));
    }
    let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    let (user, hosts) = authority.rsplit_once('@').map_or(("", authority), |(user, hosts)| (user, hosts));
    let at = if user.is_empty() { "" } else { "@" };
    let path = without_target(path);
    let option = |host: &str| {
        let options = PgConnectOptions::from_str(&format!("{scheme}://{user}{at}{host}{path}"));
        options.map_err(|error| invalid("it cannot be read").caused_by(error))
    };
    hosts.split(',').map(option).collect()
}

const EXAMPLE: &str = "postgres://user@host:5432/database, with several hosts divided by commas";

/// Which of the servers is asked for is known here: `target_session_attrs` says nothing more.
fn without_target(path: &str) -> String {
    let Some((path, query)) = path.split_once('?') else { return path.to_owned() };
    let others: Vec<&str> = query.split('&').filter(|parameter| !parameter.starts_with("target_session_attrs=")).collect();
    if others.is_empty() { path.to_owned() } else { format!("{path}?{}", others.join("&")) }
}

#[cfg(test)]
mod tests {
    use super::hosts;

    #[test]
    fn each_host_of_a_url_is_a_server_with_the_rest_of_it() {
        let read = |url| -> Vec<(String, u16)> {
            hosts(url).unwrap().iter().map(|host| (host.get_host().to_owned(), host.get_port())).collect()
        };
        let servers = [("one".to_owned(), 5433), ("two".to_owned(), 5432)];
        assert_eq!(read("postgres://ann:a%40b@one:5433,two/shop?target_session_attrs=read-write&sslmode=disable"), servers);
        assert_eq!(hosts("postgres://ann@one/shop").unwrap()[0].get_database(), Some("shop"));
        for no_url in ["one", "mysql://one/shop", "/var/lib"] {
            assert!(hosts(no_url).is_err(), "{no_url}");
        }
    }
}
