//! SQLite with a write-ahead log that is synced at each commit: what one would build on it in a day.

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Result, ensure};
use rusqlite::{Connection, Transaction, TransactionBehavior, params};
use uuid::Uuid;

use super::{Peer, Tally};
use crate::workload::{self, Event};

const SCHEMA: &str = "
    PRAGMA journal_mode = WAL;
    PRAGMA synchronous = FULL;
    CREATE TABLE IF NOT EXISTS events (
        position INTEGER PRIMARY KEY,
        id BLOB NOT NULL,
        stream TEXT NOT NULL,
        version INTEGER NOT NULL,
        type TEXT NOT NULL,
        tags TEXT NOT NULL,
        data BLOB NOT NULL,
        UNIQUE (stream, version)
    ) STRICT;
    CREATE TABLE IF NOT EXISTS tags (
        tag TEXT NOT NULL,
        position INTEGER NOT NULL,
        PRIMARY KEY (tag, position)
    ) STRICT, WITHOUT ROWID;
";
const INSERT_EVENT: &str = "INSERT INTO events (id, stream, version, type, tags, data) VALUES (?, ?, ?, ?, ?, ?)";
const INSERT_TAG: &str = "INSERT INTO tags (tag, position) VALUES (?, ?)";
const VERSION: &str = "SELECT coalesce(max(version), 0) FROM events WHERE stream = ?";
const ALL: &str = "SELECT position, id, stream, version, type, tags, data FROM events ORDER BY position";
const STREAM: &str = "SELECT position, id, stream, version, type, tags, data FROM events WHERE stream = ? ORDER BY version";
const TAGGED: &str = "
    SELECT e.position, e.id, e.stream, e.version, e.type, e.tags, e.data
    FROM tags one JOIN tags other ON other.position = one.position JOIN events e ON e.position = one.position
    WHERE one.tag = ? AND other.tag = ? ORDER BY one.position";

/// An open database: one connection, whose turn each caller waits for.
pub(crate) struct Sqlite {
    connection: Mutex<Connection>,
}

/// A writer that looks at its stream's version in the transaction that appends.
pub(crate) struct Writer {
    peer: Arc<Sqlite>,
    version: u64,
    events: Vec<Event>,
}

impl Peer for Sqlite {
    type Writer = Writer;
    const BLOCKING: bool = true;

    async fn open(folder: &Path) -> Result<Self> {
        let connection = Connection::open(folder.join("events.sqlite"))?;
        connection.execute_batch(SCHEMA)?;
        Ok(Self { connection: Mutex::new(connection) })
    }

    fn writer(self: &Arc<Self>, stream: &str, events: usize) -> Result<Writer> {
        let events = (0..events as u64).map(|number| workload::of_writer(stream, number)).collect();
        Ok(Writer { peer: Arc::clone(self), version: 0, events })
    }

    async fn load(&self, events: Vec<Event>) -> Result<()> {
        self.transact(|transaction| events.iter().try_for_each(|event| insert(transaction, event, event.version)))
    }

    async fn read_all(&self) -> Result<Tally> {
        read(&self.connection(), ALL, [])
    }

    async fn read_stream(&self, stream: String) -> Result<Tally> {
        read(&self.connection(), STREAM, [stream])
    }

    async fn read_tagged(&self, tags: [String; 2]) -> Result<Tally> {
        read(&self.connection(), TAGGED, tags)
    }

    async fn decide(&self, event: Event) -> Result<()> {
        self.transact(|transaction| {
            // Nothing comes between the two: a transaction has the database to itself.
            read(transaction, TAGGED, event.tags.clone())?;
            insert(transaction, &event, 1)
        })
    }

    async fn close(self) -> Result<()> {
        let connection = self.connection.into_inner().unwrap_or_else(PoisonError::into_inner);
        connection.close().map_err(|(_, error)| error.into())
    }
}

impl Sqlite {
    fn connection(&self) -> MutexGuard<'_, Connection> {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn transact(&self, work: impl FnOnce(&Transaction<'_>) -> Result<()>) -> Result<()> {
        let mut connection = self.connection();
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        work(&transaction)?;
        Ok(transaction.commit()?)
    }
}

impl super::Writer for Writer {
    async fn append(&mut self) -> Result<()> {
        let (events, version) = (&self.events, self.version);
        self.peer.transact(|transaction| {
            let actual: u64 = transaction.prepare_cached(VERSION)?.query_row([&events[0].stream], |row| row.get(0))?;
            ensure!(actual == version, "{} is at version {actual}, not {version}", events[0].stream);
            (version + 1..).zip(events).try_for_each(|(version, event)| insert(transaction, event, version))
        })?;
        self.version += self.events.len() as u64;
        Ok(())
    }
}

fn insert(connection: &Connection, event: &Event, version: u64) -> Result<()> {
    let Event { stream, event_type, tags, data, .. } = event;
    let id = Uuid::now_v7();
    let values = params![id.as_bytes(), stream, version, event_type, tags.join("\n"), &data[..]];
    connection.prepare_cached(INSERT_EVENT)?.execute(values)?;
    let position = connection.last_insert_rowid();
    let mut insert_tag = connection.prepare_cached(INSERT_TAG)?;
    tags.iter().try_for_each(|tag| Ok(insert_tag.execute(params![tag, position]).map(|_| ())?))
}

/// Reads all columns of the rows, as one who wants the events would.
fn read<const N: usize>(connection: &Connection, sql: &str, parameters: [String; N]) -> Result<Tally> {
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(rusqlite::params_from_iter(parameters))?;
    let mut tally = Tally::default();
    while let Some(row) = rows.next()? {
        let (position, version): (u64, u64) = (row.get(0)?, row.get(3)?);
        let texts: [String; 3] = [row.get(2)?, row.get(4)?, row.get(5)?];
        let (id, data): ([u8; 16], Vec<u8>) = (row.get(1)?, row.get(6)?);
        std::hint::black_box((position, version, texts, id));
        tally.add(&data);
    }
    Ok(tally)
}
