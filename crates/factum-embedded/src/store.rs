//! The store: a log as the library sees it.

use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use factum::{
    Append, AppendError, Appended, ConsumerName, Page, Position, Read, ReadStreams, Store, StoreError, StoreErrorKind,
    StreamsPage,
};
use uuid::Uuid;

use crate::disk::{Disk, DiskLock};
use crate::error::{closed, would_wait};
use crate::follower::Follower;
use crate::index::Term;
use crate::log::Log;
use crate::queue::{Draft, PreparedCondition, Queue};
use crate::reader::View;
use crate::receipt::Receipt;
use crate::streams::streams;
use crate::{Backup, backup};

/// An event store in a folder of the local disk. Clones share it; the last one closes it.
///
/// An acknowledged append survives SIGKILL and power loss: its frame was synced before. On opening, a frame that a crash tore is
/// removed. A write or sync that fails leaves unknown what is on disk: from then on nothing is recorded until the store is opened
/// again, and what was durable can still be read. A full disk refuses appends and does no other harm.
///
/// One window remains: damage to the very last appends, before anything else is written, looks like a torn write. The witness
/// that follows after 50 ms of rest, and the file `HEAD`, narrow it.
#[derive(Clone)]
pub struct EmbeddedStore {
    open: Arc<Open>,
}

/// What is open; dropping it closes.
struct Open {
    log: Arc<Log>,
    role: Role,
}

enum Role {
    Writer { queue: Arc<Queue>, running: Mutex<Option<Running>> },
    Reader { follower: Mutex<Option<Follower>> },
}

/// What ends on closing.
struct Running {
    thread: JoinHandle<()>,
    _lock: Box<dyn DiskLock>,
}

/// A store in numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stats {
    /// The log's identity: backups have the same.
    pub log_id: Uuid,
    /// The position of the last event, which is also how many there are.
    pub head: Position,
    /// How many streams there are.
    pub streams: u64,
    /// How many segment files there are.
    pub segments: u64,
    /// Their bytes, without the room made ahead.
    pub segment_bytes: u64,
    /// The bytes of the index files.
    pub index_bytes: u64,
}

impl EmbeddedStore {
    pub(crate) fn writing(log: Arc<Log>, queue: Arc<Queue>, thread: JoinHandle<()>, lock: Box<dyn DiskLock>) -> Self {
        let running = Mutex::new(Some(Running { thread, _lock: lock }));
        Self { open: Arc::new(Open { log, role: Role::Writer { queue, running } }) }
    }

    pub(crate) fn read_only(disk: Arc<dyn Disk>, index_events: u32) -> Result<Self, StoreError> {
        let (log, follower) = Follower::start(disk, index_events)?;
        Ok(Self { open: Arc::new(Open { log, role: Role::Reader { follower: Mutex::new(Some(follower)) } }) })
    }

    /// Closes the store for all of its clones: appends that were accepted become durable, the index is written, the lock is given
    /// back. Blocks until that is done.
    pub fn close(&self) {
        self.open.close();
    }

    /// Looks at the log: at once where all that it takes is in memory, else where waiting for the disk holds nobody up.
    async fn look<T, F>(&self, look: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: Fn(&View) -> Result<T, StoreError> + Send + 'static,
    {
        let looked = look(&View::new(&self.open.log)?.cached());
        match (looked, tokio::runtime::Handle::try_current()) {
            (Err(error), Ok(runtime)) if would_wait(&error) => {
                let open = Arc::clone(&self.open);
                let waited = runtime.spawn_blocking(move || look(&View::new(&open.log)?)).await;
                waited.unwrap_or_else(|_| Err(closed()))
            }
            (Err(error), Err(_)) if would_wait(&error) => look(&View::new(&self.open.log)?),
            (looked, _) => looked,
        }
    }

    pub(crate) fn log(&self) -> &Log {
        &self.open.log
    }

    /// The store in numbers.
    ///
    /// # Errors
    /// `Closed` after it was closed.
    pub fn stats(&self) -> Result<Stats, StoreError> {
        let log = &self.open.log;
        log.check_open()?;
        let (segments, sources) = (log.segments(), log.index.sources());
        Ok(Stats {
            log_id: log.id,
            head: log.head(),
            streams: sources.count(Term::Births),
            segments: segments.len() as u64,
            segment_bytes: segments.iter().map(|segment| segment.end()).sum(),
            index_bytes: sources.runs.iter().map(|run| run.len()).sum(),
        })
    }

    /// The consumers that have a mark, with how far each has handled its source, in the order of their names.
    ///
    /// # Errors
    /// [`StoreError`] after it was closed.
    pub fn consumers(&self) -> Result<Vec<(ConsumerName, Position)>, StoreError> {
        self.open.log.check_open()?;
        let marks = self.open.log.index.sources().marks().into_iter();
        let read = |(name, through)| ConsumerName::new(name).map(|name| (name, Position::new(through)));
        let damaged = |error| StoreError::new(StoreErrorKind::Corrupt, "a mark has no consumer's name").caused_by(error);
        marks.map(|mark| read(mark).map_err(damaged)).collect()
    }

    /// A receipt for all that is recorded now. Reads the last segment.
    ///
    /// # Errors
    /// [`StoreError`] where it cannot be read.
    pub fn receipt(&self) -> Result<Receipt, StoreError> {
        self.open.log.check_open()?;
        Receipt::of(&self.open.log)
    }

    /// Copies all that is recorded now into a folder, which must be new or empty, while the store goes on.
    ///
    /// # Errors
    /// `Invalid` where the folder has files; else what the disk says.
    pub fn backup(&self, to: impl AsRef<Path>) -> Result<Backup, StoreError> {
        self.open.log.check_open()?;
        backup::backup(&self.open.log, to.as_ref())
    }
}

impl Open {
    fn close(&self) {
        match &self.role {
            Role::Writer { queue, running } => {
                queue.close();
                // Held to the end, so that whoever closes at the same time waits as well.
                let mut running = running.lock().unwrap_or_else(PoisonError::into_inner);
                if let Some(Running { thread, _lock }) = running.take() {
                    // A writer that panicked has ended all the same.
                    let _ = thread.join();
                }
                drop(running);
            }
            Role::Reader { follower } => drop(follower.lock().unwrap_or_else(PoisonError::into_inner).take()),
        }
        self.log.close();
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.close();
    }
}

impl fmt::Debug for EmbeddedStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EmbeddedStore({} at {})", self.open.log.id, self.open.log.head())
    }
}

impl Store for EmbeddedStore {
    async fn append(&self, append: Append) -> Result<Appended, AppendError> {
        append.check()?;
        let log = &self.open.log;
        let Role::Writer { queue, .. } = &self.open.role else {
            let message = "the store is open to read only; open it to write";
            return Err(StoreError::new(StoreErrorKind::ReadOnly, message).into());
        };
        log.check_open()?;
        let Append { events, expected, condition, consumed } = append;
        let condition = condition.map(|condition| PreparedCondition::new(log, condition)).transpose()?;
        let draft = Draft::new(log.index.seed, &events, expected, consumed);
        drop(events);
        let answered = queue.push(draft, condition).await.ok_or_else(closed)?;
        answered.await.unwrap_or_else(|_| {
            let message =
                "the writer ended before it answered; open the store again and repeat the append with the same event ids";
            Err(StoreError::new(StoreErrorKind::UnknownOutcome, message).into())
        })
    }

    async fn read(&self, read: Read) -> Result<Page, StoreError> {
        read.query.check()?;
        self.look(move |view| view.page(&read)).await
    }

    async fn head(&self) -> Result<Position, StoreError> {
        self.open.log.check_open()?;
        Ok(self.open.log.head())
    }

    async fn changed(&self, after: Position) {
        self.open.log.changed(after).await;
    }

    async fn streams(&self, read: ReadStreams) -> Result<StreamsPage, StoreError> {
        self.look(move |view| streams(view, &read)).await
    }

    async fn consumed(&self, consumer: ConsumerName) -> Result<Position, StoreError> {
        self.open.log.check_open()?;
        Ok(Position::new(self.open.log.index.sources().mark(consumer.as_str()).unwrap_or(0)))
    }
}
