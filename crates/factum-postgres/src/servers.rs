//! The servers of a database: one, or a primary with its standbys, of which another may be the primary at any time.

use std::io;
use std::str::FromStr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use factum::{StoreError, StoreErrorKind};
use sqlx::postgres::{PgConnectOptions, PgConnection, PgPool, PgPoolOptions};
use sqlx::{Connection, Executor};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::error::failed;

/// How long a server has to answer before it counts as not there.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// How long the others have to answer once one of them is found that would do: one that is newer may be among them.
const OTHERS_TIMEOUT: Duration = Duration::from_millis(300);

/// How long a statement waits for a connection of the pool.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a statement of the store's own may take before its server counts as lost.
pub(crate) const CALL_TIMEOUT: Duration = Duration::from_secs(10);

/// How often it is asked, while there are several servers, whether another of them is the primary now: one that was cut off from
/// the others may not know that it no longer is.
pub(crate) const CHECK: Duration = Duration::from_secs(2);

/// How many bytes of changes a standby may be behind another before that one is read from.
const BEHIND_MAX: i64 = 64 << 20;

/// Which of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// The one that can be written to.
    Primary,
    /// One that cannot, or the primary where there is none.
    Standby,
}

/// What a server is at the moment. Of two primaries the one with the higher timeline is the newer; of two standbys the one that
/// has replayed more is less behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Standing {
    Standby { replayed: i64 },
    Primary { timeline: i64 },
}

impl Standing {
    fn is_of(self, role: Role) -> bool {
        matches!((self, role), (Self::Primary { .. }, Role::Primary) | (Self::Standby { .. }, Role::Standby))
    }
}

/// The servers of a database, and the connections that read from one of them.
pub(crate) struct Servers {
    hosts: Vec<PgConnectOptions>,
    role: Role,
    connections: u32,
    /// How long it is tried to read, and to append.
    pub(crate) patience: Duration,
    current: Mutex<Option<(InUse, PgPool)>>,
}

/// Which server is in use, by its place among the hosts, and whether it still should be.
pub(crate) struct InUse {
    pub(crate) host: usize,
    checked: Instant,
    superseded: Arc<AtomicBool>,
}

impl InUse {
    pub(crate) fn new(host: usize) -> Self {
        Self { host, checked: Instant::now(), superseded: Arc::default() }
    }

    /// Whether another one is known to have taken its place; now and then that is looked at, which nobody waits for.
    pub(crate) fn is_superseded(&mut self, servers: &Arc<Servers>) -> bool {
        if servers.is_one_of_several() && CHECK < self.checked.elapsed() {
            self.checked = Instant::now();
            let (servers, host, superseded) = (servers.clone(), self.host, self.superseded.clone());
            tokio::spawn(async move { superseded.fetch_or(servers.is_superseded(host).await, Ordering::Relaxed) });
        }
        self.superseded.load(Ordering::Relaxed)
    }
}

/// A connection to a server, by its place among the hosts.
pub(crate) struct Connected {
    pub(crate) connection: PgConnection,
    pub(crate) host: usize,
    standing: Standing,
}

impl Servers {
    pub(crate) fn new(hosts: Vec<PgConnectOptions>, role: Role, connections: u32, patience: Duration) -> Self {
        Self { hosts, role, connections, patience, current: Mutex::new(None) }
    }

    /// Connections to a server of the role, and its place among the hosts.
    pub(crate) async fn pool(self: &Arc<Self>) -> Result<(usize, PgPool), StoreError> {
        if let Some(current) = self.in_use() {
            return Ok(current);
        }
        let Connected { host, connection, .. } = self.connect().await?;
        let _ = connection.close().await;
        let is_standby = self.role == Role::Standby;
        let pool = PgPoolOptions::new()
            .max_connections(self.connections)
            .acquire_timeout(ACQUIRE_TIMEOUT)
            .after_connect(move |connection, _| {
                Box::pin(async move {
                    // To plan a look anew takes longer than the look. Each is by one index, whatever it is that is looked for.
                    connection.execute("SET plan_cache_mode = force_generic_plan").await?;
                    // A primary that came back as a standby would serve what is old.
                    if !is_standby && is_in_recovery(connection).await? {
                        return Err(sqlx::Error::Protocol("the server is not the primary any more".to_owned()));
                    }
                    Ok(())
                })
            })
            .connect_lazy_with(self.hosts[host].clone());
        *self.current() = Some((InUse::new(host), pool.clone()));
        Ok((host, pool))
    }

    /// What is in use, if it still should be.
    fn in_use(self: &Arc<Self>) -> Option<(usize, PgPool)> {
        let mut current = self.current();
        let (in_use, pool) = current.as_mut()?;
        if in_use.is_superseded(self) {
            *current = None;
            return None;
        }
        Some((in_use.host, pool.clone()))
    }

    /// A connection of its own to a server of the role: to the newest primary, or to the standby that is least behind. Where
    /// there is no standby, the primary does for one.
    pub(crate) async fn connect(&self) -> Result<Connected, StoreError> {
        let (found, error) = self.probe_all().await;
        let of_use = found.into_iter().filter(|connected| self.role == Role::Standby || connected.standing.is_of(Role::Primary));
        let best = of_use.max_by_key(|connected| (connected.standing.is_of(self.role), connected.standing));
        best.ok_or_else(|| error.unwrap_or_else(|| unavailable("none of the servers is a primary: wait until one is")))
    }

    /// Those that answer, and what is wrong with one that does not.
    async fn probe_all(&self) -> (Vec<Connected>, Option<StoreError>) {
        let mut probes = JoinSet::new();
        for (host, options) in self.hosts.iter().cloned().enumerate() {
            probes.spawn(tokio::time::timeout(CONNECT_TIMEOUT, probe(host, options)));
        }
        let (mut found, mut error) = (Vec::<Connected>::new(), None);
        let mut deadline = Instant::now() + CONNECT_TIMEOUT;
        while let Ok(Some(Ok(probed))) = tokio::time::timeout_at(deadline, probes.join_next()).await {
            match probed {
                Ok(Ok(connected)) => {
                    if connected.standing.is_of(self.role) {
                        deadline = deadline.min(Instant::now() + OTHERS_TIMEOUT);
                    }
                    found.push(connected);
                }
                Ok(Err(failure)) => error = Some(failed("connect")(failure)),
                Err(_late) => error = Some(unavailable("the server does not answer")),
            }
        }
        (found, error)
    }

    /// Whether another of them may become the primary.
    pub(crate) fn is_one_of_several(&self) -> bool {
        1 < self.hosts.len()
    }

    /// How to connect to the server with this place among the hosts.
    pub(crate) fn options(&self, host: usize) -> &PgConnectOptions {
        &self.hosts[host]
    }

    /// Waits for what a server with this place among the hosts is to do, as long as it may take, and as long as no other server
    /// has taken over from it.
    pub(crate) async fn bounded<T>(&self, host: usize, call: impl Future<Output = sqlx::Result<T>>) -> sqlx::Result<T> {
        self.bounded_by(CALL_TIMEOUT, host, call).await
    }

    /// As [`bounded`](Self::bounded), of what may take so long.
    pub(crate) async fn bounded_by<T>(
        &self,
        longest: Duration,
        host: usize,
        call: impl Future<Output = sqlx::Result<T>>,
    ) -> sqlx::Result<T> {
        let superseded = async {
            loop {
                tokio::time::sleep(CHECK).await;
                if self.is_one_of_several() && self.is_superseded(host).await {
                    return;
                }
            }
        };
        tokio::select! {
            biased;
            done = call => done,
            () = superseded => Err(no_answer("another server is the primary now")),
            () = tokio::time::sleep(longest) => Err(no_answer("the server does not answer")),
        }
    }

    /// Whether another server than this one is the one to use: a newer primary, or another standby where this one is none any
    /// more, or far behind.
    pub(crate) async fn is_superseded(&self, host: usize) -> bool {
        let (found, _) = self.probe_all().await;
        let (own, others): (Vec<_>, Vec<_>) = found.iter().partition(|connected| connected.host == host);
        let own = own.first().map(|own| own.standing).filter(|standing| standing.is_of(self.role));
        let others = others.iter().map(|other| other.standing).filter(|standing| standing.is_of(self.role));
        match (own, others.max()) {
            (_, None) => false,
            (None, Some(_)) => true,
            (Some(Standing::Standby { replayed }), Some(Standing::Standby { replayed: other })) => replayed + BEHIND_MAX < other,
            (Some(own), Some(other)) => own < other,
        }
    }

    /// The server failed, or is not what it was: the next one to ask looks for another.
    pub(crate) fn lost(&self, host: usize) {
        let mut current = self.current();
        if current.as_ref().is_some_and(|(in_use, _)| in_use.host == host) {
            *current = None;
        }
    }

    /// As [`lost`](Self::lost), of whichever is in use.
    pub(crate) fn lost_any(&self) {
        *self.current() = None;
    }

    fn current(&self) -> std::sync::MutexGuard<'_, Option<(InUse, PgPool)>> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A call that is not waited for any longer: what it did is not known.
fn no_answer(message: &str) -> sqlx::Error {
    sqlx::Error::Io(io::Error::new(io::ErrorKind::TimedOut, message))
}

/// Connects, and asks what the server is.
async fn probe(host: usize, options: PgConnectOptions) -> sqlx::Result<Connected> {
    let mut connection = PgConnection::connect_with(&options).await?;
    // The first eight digits of a WAL file's name are those of its timeline.
    let (timeline, replayed): (Option<String>, i64) = sqlx::query_as(
        "SELECT CASE WHEN NOT pg_is_in_recovery() THEN left(pg_walfile_name(pg_current_wal_lsn()), 8) END,
             coalesce(pg_last_wal_replay_lsn() - '0/0', 0)::bigint",
    )
    .fetch_one(&mut connection)
    .await?;
    let standing = match timeline {
        None => Standing::Standby { replayed },
        Some(timeline) => {
            connection.execute(SETTINGS).await?;
            Standing::Primary { timeline: i64::from_str_radix(&timeline, 16).unwrap_or_default() }
        }
    };
    Ok(Connected { connection, host, standing })
}

/// Whatever is usual for this user or database: what is acknowledged is durable, and an append sees what others did up to its
/// turn.
const SETTINGS: &str = "
    SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off';
    SELECT set_config('default_transaction_isolation', 'read committed', false)
        WHERE current_setting('default_transaction_isolation') <> 'read committed'";

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
