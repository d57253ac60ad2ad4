//! Opening a store.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use factum::{Clock, Projection, StoreError, StoreErrorKind};
use sqlx::Connection;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::changes::{Changes, Head};
use crate::inline::Inlines;
use crate::pace::Pace;
use crate::read_db::PgDb;
use crate::sequencer::{QUEUE, Sequencer};
use crate::servers::{CALL_TIMEOUT, Role, Servers, hosts};
use crate::standby::Standby;
use crate::store::{Opened, PostgresStore};
use crate::{logs, migrations};

/// The log of a store that names none.
pub const DEFAULT_LOG: &str = "main";

/// How a store is opened.
#[derive(Clone)]
pub struct Options {
    log: String,
    clock: Option<Arc<dyn Clock>>,
    connections: u32,
    patience: Duration,
    migrate: bool,
    standbys: bool,
    inline: Result<Inlines, StoreError>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            log: DEFAULT_LOG.to_owned(),
            clock: None,
            connections: 10,
            patience: Duration::from_secs(30),
            migrate: true,
            standbys: false,
            inline: Ok(Inlines::default()),
        }
    }
}

impl Options {
    /// Which log of the database: [`DEFAULT_LOG`] unless this says another. It is created where there is none.
    #[must_use]
    pub fn log(mut self, name: impl Into<String>) -> Self {
        self.log = name.into();
        self
    }

    /// Goes by another clock than the database's.
    #[must_use]
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Some(Arc::new(clock));
        self
    }

    /// The most connections that read, counted from 1; 10 otherwise. Another one appends, and another one listens.
    #[must_use]
    pub fn connections(mut self, connections: u32) -> Self {
        self.connections = connections.max(1);
        self
    }

    /// How long it is tried to read or to append while no server can: 30 s otherwise, which is longer than a failover takes.
    #[must_use]
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Whether the schema is brought to this program's version; otherwise another one is refused, and a log that is not there.
    #[must_use]
    pub fn migrate(mut self, migrate: bool) -> Self {
        self.migrate = migrate;
        self
    }

    /// Reads events from a standby, where there is one, and appends nothing. What it reads may be a moment old, which a
    /// subscription does not mind, and a decision does. It is never more than the primary shows: a standby may have what was not
    /// acknowledged yet, and is lost where another takes over. So what is new is read while there is a primary.
    #[must_use]
    pub fn standbys(mut self, standbys: bool) -> Self {
        self.standbys = standbys;
        self
    }

    /// Keeps a read model that never lags: each append changes it in its own transaction, and is refused, and records nothing,
    /// where the projection cannot apply one of its events. Its tables are in the database of the log, as those of
    /// [`PgDb`](crate::PgDb) are, and filled with what was recorded before while the store is opened.
    ///
    /// It costs the appends of the whole log what it takes to apply their events, one after another. From the first time on, each
    /// program that appends to the log has to keep the same read models: another one is refused. With a new
    /// [`VERSION`](Projection::VERSION) it is filled beside the old one, and takes its place, from where programs with the old
    /// one are refused.
    #[must_use]
    pub fn inline<P: Projection<Db = PgDb>>(mut self, projection: P) -> Self {
        self.inline = self.inline.and_then(|inline| inline.and(projection));
        self
    }

    /// Opens the log of the database at a URL such as `postgres://user@host:5432/database`. There may be several hosts, divided
    /// by commas: a primary with its standbys, whichever of them is the primary now.
    ///
    /// # Errors
    /// [`StoreError`] where no server can be reached, or its schema is newer than this program.
    pub async fn open(self, url: &str) -> Result<PostgresStore, StoreError> {
        let inline = self.inline.clone()?;
        let hosts = hosts(url)?;
        let primary = Arc::new(Servers::new(hosts.clone(), Role::Primary, self.connections, self.patience));
        let standby = self.standbys.then(|| Standby::new(Servers::new(hosts, Role::Standby, self.connections, self.patience)));
        let late = |_| StoreError::new(StoreErrorKind::Unavailable, "the database does not answer while the store is opened");
        let log = tokio::time::timeout(self.patience.max(CALL_TIMEOUT), self.find(&primary)).await.map_err(late)??;
        if !self.standbys && !inline.is_empty() {
            inline.fill(&PgDb::open(url).await?, &primary, log).await?;
        }
        Ok(self.start(log, primary, standby, inline))
    }

    /// Sees to the schema and the log; the log's number.
    async fn find(&self, primary: &Servers) -> Result<i32, StoreError> {
        let mut connection = primary.connect().await?.connection;
        if self.migrate && !self.standbys {
            migrations::migrate(&mut connection).await?;
            logs::create(&mut connection, &self.log).await?;
        } else {
            migrations::check(&mut connection).await?;
        }
        let no_log = || StoreError::new(StoreErrorKind::NotFound, format!("there is no log {}: create it", self.log));
        let log = logs::find(&mut connection, &self.log).await?.ok_or_else(no_log)?;
        let _ = connection.close().await;
        Ok(log)
    }

    fn start(self, log: i32, primary: Arc<Servers>, standby: Option<Standby>, inline: Inlines) -> PostgresStore {
        let (head, closed) = (Arc::new(Head::new()), CancellationToken::new());
        let changes =
            Changes { log, primary: primary.clone(), standby: standby.clone(), head: head.clone(), closed: closed.clone() };
        tokio::spawn(changes.run());
        let (queue, sequencer) = if self.standbys {
            (None, None)
        } else {
            let (queue, waiting) = mpsc::channel(QUEUE);
            let sequencer = Sequencer {
                log,
                servers: primary.clone(),
                clock: self.clock.clone(),
                inline,
                queue: waiting,
                head: head.clone(),
                closed: closed.clone(),
                connection: None,
                deferred: VecDeque::new(),
                pace: Pace::default(),
            };
            (Some(queue), Some(tokio::spawn(sequencer.run())))
        };
        let closes = closed.clone().drop_guard();
        let sequencer = std::sync::Mutex::new(sequencer);
        let (name, clock) = (self.log, self.clock);
        let opened = Opened { log, name, primary, standby, clock, head, queue, sequencer, closed, _closes: closes };
        PostgresStore(Arc::new(opened))
    }
}
