//! Changes: how a store learns that others have recorded something.

use std::sync::Arc;
use std::time::Duration;

use factum::{Position, StoreError, StoreErrorKind};
use sqlx::Connection;
use sqlx::postgres::{PgListener, PgPoolOptions};
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use crate::error::failed;
use crate::reader;
use crate::servers::{Connected, Servers};
use crate::standby::Standby;

/// How often the head is looked at while somebody waits for it: behind a transaction pooler, and on a standby, nobody is told.
const POLL: Duration = Duration::from_millis(200);

/// How often a standby is looked at that has yet to replay what the primary has.
const REPLAYED: Duration = Duration::from_millis(10);

/// Keeps the head up to date for those who wait for it, until the store is closed.
pub(crate) struct Changes {
    pub(crate) log: i32,
    pub(crate) primary: Arc<Servers>,
    pub(crate) standby: Option<Standby>,
    pub(crate) head: Arc<Head>,
    pub(crate) closed: CancellationToken,
}

/// The head as it is known here, and those who wait for it.
pub(crate) struct Head {
    known: watch::Sender<Position>,
    wanted: Notify,
}

impl Head {
    pub(crate) fn new() -> Self {
        Self { known: watch::Sender::new(Position::START), wanted: Notify::new() }
    }

    /// It is there at least.
    pub(crate) fn reached(&self, head: Position) {
        self.known.send_if_modified(|known| {
            let moved = *known < head;
            *known = head.max(*known);
            moved
        });
    }

    /// As it is known, for [`seen`](Self::seen).
    pub(crate) fn known(&self) -> Position {
        *self.known.borrow()
    }

    /// It was seen there, by a look that was begun when another one was known. Where it is lower than that, what was there is
    /// lost, with a server or by a backup that was restored: it is waited for anew.
    pub(crate) fn seen(&self, before: Position, head: Position) {
        self.reached(head);
        if head < before {
            self.known.send_if_modified(|known| {
                let is_lost = *known == before;
                if is_lost {
                    *known = head;
                }
                is_lost
            });
        }
    }

    /// Whoever waits looks, and learns why there is nothing to wait for any more.
    fn give_up(&self) {
        self.known.send_replace(Position::MAX);
    }

    /// Resolves when it is known to be past a position.
    pub(crate) async fn past(&self, after: Position) {
        let mut known = self.known.subscribe();
        self.wanted.notify_one();
        // The sender is this one's own.
        let _ = known.wait_for(|head| after < *head).await;
    }

    /// Resolves when somebody waits for it.
    async fn wanted(&self) {
        while self.known.receiver_count() == 0 {
            self.wanted.notified().await;
        }
    }
}

impl Changes {
    pub(crate) async fn run(self) {
        let closed = self.closed.clone();
        let mut listener = None;
        while closed.run_until_cancelled(self.round(&mut listener)).await.is_some() {}
    }

    async fn round(&self, listener: &mut Option<PgListener>) {
        self.head.wanted().await;
        if listener.is_none() {
            *listener = self.listen().await.ok();
        }
        let (mut wait, known) = (POLL, self.head.known());
        match self.heads().await {
            Ok((head, primary)) => {
                self.head.seen(known, head);
                if head < primary {
                    wait = REPLAYED;
                }
            }
            Err(error) => {
                *listener = None;
                if error.kind() != StoreErrorKind::Unavailable {
                    self.head.give_up();
                    return;
                }
            }
        }
        let told = async {
            match listener {
                Some(listener) => listener.try_recv().await,
                None => std::future::pending().await,
            }
        };
        // Where its connection is lost, another one is made in the next round, to whichever server is the primary then.
        if let Ok(Ok(None) | Err(_)) = tokio::time::timeout(wait, told).await {
            *listener = None;
            tokio::time::sleep(REPLAYED).await;
        }
    }

    /// The head, as it can be read and is acknowledged; and that of the primary.
    async fn heads(&self) -> Result<(Position, Position), StoreError> {
        let primary = reader::head(&self.primary, self.log).await?;
        match &self.standby {
            None => Ok((primary, primary)),
            Some(standby) => Ok((reader::head(standby.servers(), self.log).await?.min(primary), primary)),
        }
    }

    async fn listen(&self) -> Result<PgListener, StoreError> {
        let Connected { connection, host, .. } = self.primary.connect().await?;
        let _ = connection.close().await;
        let pool = PgPoolOptions::new().max_connections(1).connect_lazy_with(self.primary.options(host).clone());
        let mut listener = PgListener::connect_with(&pool).await.map_err(failed("listen"))?;
        listener.eager_reconnect(false);
        listener.listen(&format!("factum_{}", self.log)).await.map_err(failed("listen"))?;
        Ok(listener)
    }
}
