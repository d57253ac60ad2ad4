//! The store: a log of a database, opened.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use factum::{
    Append, AppendError, Appended, Clock, ConsumerName, Page, Position, Read, ReadStreams, Store, StoreError, StoreErrorKind,
    StreamsPage,
};
use sqlx::postgres::PgConnection;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::answer::Answer;
use crate::call::Call;
use crate::changes::Head;
use crate::error::failed;
use crate::reader;
use crate::sequencer::Waiting;
use crate::servers::Servers;
use crate::standby::Standby;
use crate::verify::{self, Verified};

/// How long a transaction of a caller's own waits for a log's turn, and how long it may do nothing once it has it.
pub const OWN_TURN_MAX: Duration = Duration::from_secs(8);

/// A log in a PostgreSQL database. Clones share it; several processes may write to it at once.
#[derive(Clone)]
pub struct PostgresStore(pub(crate) Arc<Opened>);

/// What clones of a store share.
pub(crate) struct Opened {
    pub(crate) log: i32,
    pub(crate) name: String,
    pub(crate) primary: Arc<Servers>,
    /// Where events are read, if not where they are appended.
    pub(crate) standby: Option<Standby>,
    pub(crate) clock: Option<Arc<dyn Clock>>,
    pub(crate) head: Arc<Head>,
    /// Where appends go; none where this one only reads.
    pub(crate) queue: Option<mpsc::Sender<Waiting>>,
    pub(crate) sequencer: std::sync::Mutex<Option<JoinHandle<()>>>,
    /// No more appends are taken, and nobody waits any longer.
    pub(crate) closed: CancellationToken,
    pub(crate) _closes: DropGuard,
}

impl PostgresStore {
    /// The name of the log.
    pub fn log(&self) -> &str {
        &self.0.name
    }

    /// The consumers that have a mark, with how far each has handled its source, in the order of their names.
    ///
    /// # Errors
    /// [`StoreError`] where the database cannot be read.
    pub async fn consumers(&self) -> Result<Vec<(ConsumerName, Position)>, StoreError> {
        self.check_open()?;
        reader::consumers(&self.0.primary, self.0.log).await
    }

    /// Appends inside a transaction of the caller's own, on a connection to this database, for what is to be kept together with
    /// other tables: it is recorded when the caller commits, and not at all otherwise. Events get the positions that they have
    /// then.
    ///
    /// Make it the last thing before the commit: from here on the log's turn is the transaction's, and every other append waits
    /// for it. It is given up, with the transaction, where it takes longer than [`OWN_TURN_MAX`] to get, or where the transaction
    /// then does nothing for so long; how long its statements take is its own matter.
    ///
    /// # Errors
    /// [`AppendError`], as of [`append`](Store::append). After one of [`AppendError::Store`] the transaction can only be rolled
    /// back; after any other nothing is recorded, and the transaction goes on. It must be READ COMMITTED, as it is unless
    /// something else was said, and the log must keep no read models [inline](crate::Options::inline).
    pub async fn append_in(&self, transaction: &mut PgConnection, append: Append) -> Result<Appended, AppendError> {
        append.check()?;
        self.check_open()?;
        // For the turn, the function waits no longer by itself.
        let bound = "SELECT set_config('idle_in_transaction_session_timeout', $1, true)";
        let milliseconds = OWN_TURN_MAX.as_millis().to_string();
        sqlx::query(bound).bind(milliseconds).execute(&mut *transaction).await.map_err(failed("bound the transaction"))?;
        let now = self.0.clock.as_ref().map(|clock| clock.now());
        let (appends, call) = ([append], Call { log: self.0.log, now, inline: Vec::new() });
        match call.make(&appends, transaction).await.map_err(failed("record it"))? {
            Answer::Recorded(recorded) => Ok(recorded.appended(&appends).remove(0)),
            Answer::Refused(mut refused) => refused.remove(0).1,
        }
    }

    /// Checks the whole log, also while others append to it: that each event can be read, that positions and versions have no
    /// gaps and times never go back, and that what events are found by (ids, tags, streams, categories, correlations, causes)
    /// says what they say. Archived events are not looked at. The pages of the tables and the indexes themselves are for
    /// PostgreSQL's own checksums and `pg_amcheck`.
    ///
    /// `progress` is told up to which position it is checked, of which.
    ///
    /// # Errors
    /// [`StoreError`] of kind `Corrupt` with the place of the damage, or where the database cannot be read.
    pub async fn verify(&self, progress: &mut (dyn FnMut(u64, u64) + Send)) -> Result<Verified, StoreError> {
        self.check_open()?;
        verify::verify(&self.0.primary, self.0.log, progress).await
    }

    /// Takes no more appends, and resolves when what waits is answered. Whoever waits for a change is told of one.
    pub async fn close(&self) {
        self.0.closed.cancel();
        let sequencer = self.0.sequencer.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
        if let Some(sequencer) = sequencer {
            let _ = sequencer.await;
        }
    }

    fn check_open(&self) -> Result<(), StoreError> {
        if self.0.closed.is_cancelled() { Err(closed()) } else { Ok(()) }
    }
}

fn closed() -> StoreError {
    StoreError::new(StoreErrorKind::Closed, "the store is closed: open it again")
}

impl Store for PostgresStore {
    async fn append(&self, append: Append) -> Result<Appended, AppendError> {
        append.check()?;
        self.check_open()?;
        let read_only =
            || StoreError::new(StoreErrorKind::ReadOnly, "this store reads from standbys: append to one that does not");
        let queue = self.0.queue.as_ref().ok_or_else(read_only)?;
        let (reply, answer) = oneshot::channel();
        let deadline = tokio::time::Instant::now() + self.0.primary.patience;
        queue.send(Waiting { append, reply, deadline }).await.map_err(|_| closed())?;
        // Closed before it was taken up: nothing is recorded.
        answer.await.unwrap_or_else(|_| Err(closed().into()))
    }

    async fn read(&self, read: Read) -> Result<Page, StoreError> {
        self.check_open()?;
        read.query.check()?;
        let Some(standby) = &self.0.standby else {
            let known = self.0.head.known();
            let (page, _) = reader::read(&self.0.primary, self.0.log, &read).await?;
            self.0.head.seen(known, page.head);
            return Ok(page);
        };
        standby.read(&self.0.primary, self.0.log, &read).await
    }

    async fn head(&self) -> Result<Position, StoreError> {
        self.check_open()?;
        reader::head(&self.0.primary, self.0.log).await
    }

    async fn changed(&self, after: Position) {
        let _ = self.0.closed.run_until_cancelled(self.0.head.past(after)).await;
    }

    async fn streams(&self, read: ReadStreams) -> Result<StreamsPage, StoreError> {
        self.check_open()?;
        reader::streams(&self.0.primary, self.0.log, &read).await
    }

    async fn consumed(&self, consumer: ConsumerName) -> Result<Position, StoreError> {
        self.check_open()?;
        reader::consumed(&self.0.primary, self.0.log, &consumer).await
    }
}

impl fmt::Debug for PostgresStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresStore").field("log", &self.0.name).finish_non_exhaustive()
    }
}
