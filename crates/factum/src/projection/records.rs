//! The records of the runtime: what a read database keeps beside the tables of read models.
//!
//! Each is JSON under a key that says what it is about: `balances/live`, `balances/anchor`, `balances@2/model`,
//! `balances@2/partition/0`, `balances@2/lease/0`, `balances@2/failure/0`, `balances@2/parked/0/…` and `balances@2/request/0/…`.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::{EventId, Position, ReadDb, ReadModelName, Record, StoreError, StoreErrorKind, StreamName, Timestamp};

/// Where a read model stands in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Phase {
    /// It is filled beside the live one.
    Filling,
    /// It is the one that is queried.
    Live,
    /// Another has taken its place; it is kept up to date until it is dropped.
    Retired,
}

/// A read model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct ModelRecord {
    pub(crate) phase: Phase,
    pub(crate) partitions: u32,
    #[serde(default)]
    pub(crate) paused: bool,
    /// The most events that each second handles in each partition; no limit where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) events_per_second: Option<u32>,
}

/// How far a partition of a read model got, and for whom.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct PartitionRecord {
    /// Everything up to here is in the tables, or parked.
    pub(crate) checkpoint: u64,
    /// Everything up to here has had its effects outside.
    pub(crate) delivered: u64,
    /// How many events were handled.
    pub(crate) events: u64,
    /// Who may write this: the lease with this token, each claim's one more than the last.
    pub(crate) token: u64,
}

/// Who fills a partition, and until when.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct LeaseRecord {
    pub(crate) holder: String,
    /// Which run of the holder's it is: it may have been started again.
    #[serde(default)]
    pub(crate) session: String,
    pub(crate) token: u64,
    /// By the database's clock, in microseconds since 1970.
    pub(crate) until: i64,
}

/// Why a partition stopped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// The position of the event that cannot be handled.
    #[serde(with = "position")]
    pub position: Position,
    /// Its id.
    #[serde(with = "text")]
    pub event_id: EventId,
    /// What it said, the last time.
    pub error: String,
    /// How often it was tried.
    pub tries: u32,
    /// When it was tried the last time, by the database's clock.
    #[serde(with = "text")]
    pub failed_at: Timestamp,
}

/// An event that was set aside, or that waits behind one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ParkedEvent {
    /// The partition that it belongs to, counted from 0.
    pub partition: u32,
    /// Where the event is.
    #[serde(with = "position")]
    pub position: Position,
    /// Its id.
    #[serde(with = "text")]
    pub event_id: EventId,
    /// What it is about: later events with this key wait behind it.
    pub key: String,
    /// What it said, the last time; empty where it only waits behind another.
    pub error: String,
    /// How often it was tried; 0 where it only waits behind another.
    pub tries: u32,
    /// Whether it is in the tables, so that only its effect outside is due.
    #[serde(default)]
    pub applied: bool,
    /// When it was set aside, by the database's clock.
    #[serde(with = "text")]
    pub parked_at: Timestamp,
}

/// What is asked of the one who holds a partition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Request {
    /// Handle what is parked with this event's key, in order, as far as it goes.
    Retry { position: u64 },
    /// Forget a parked event, then handle what waited behind it.
    Discard { position: u64 },
    /// Clear what a stream put in, and apply its events again.
    RebuildStream {
        #[serde(with = "text")]
        stream: StreamName,
    },
}

/// A request, with why it was refused where it was.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct RequestRecord {
    pub(crate) request: Request,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) refused: Option<String>,
}

impl PartitionRecord {
    pub(crate) fn checkpoint(&self) -> Position {
        Position::new(self.checkpoint)
    }

    pub(crate) fn delivered(&self) -> Position {
        Position::new(self.delivered)
    }
}

/// Which read model of a projection is live.
pub(crate) fn live(projection: &str) -> String {
    format!("{projection}/live")
}

/// The keys of all that is kept of a projection's read models; of every projection's where that is empty.
pub(crate) fn models_of(projection: &str) -> String {
    if projection.is_empty() { String::new() } else { format!("{projection}@") }
}

impl ReadModelName {
    pub(crate) fn model_key(&self) -> String {
        format!("{self}/model")
    }

    /// That it is to be made again.
    pub(crate) fn rebuild_key(&self) -> String {
        format!("{self}/rebuild")
    }

    pub(crate) fn partition_key(&self, partition: u32) -> String {
        format!("{self}/partition/{partition}")
    }

    pub(crate) fn lease_key(&self, partition: u32) -> String {
        format!("{self}/lease/{partition}")
    }

    pub(crate) fn failure_key(&self, partition: u32) -> String {
        format!("{self}/failure/{partition}")
    }

    /// Positions are padded, so that their keys are in their order.
    pub(crate) fn parked_key(&self, partition: u32, position: Position) -> String {
        format!("{}{:020}", self.parked_in(partition), position.get())
    }

    pub(crate) fn parked_in(&self, partition: u32) -> String {
        format!("{self}/parked/{partition}/")
    }

    pub(crate) fn request_key(&self, partition: u32, id: &str) -> String {
        format!("{}{id}", self.requests_in(partition))
    }

    pub(crate) fn requests_in(&self, partition: u32) -> String {
        format!("{self}/request/{partition}/")
    }
}

/// A record as it was read: its text is what has to stand there still when it is replaced.
#[derive(Debug, Clone)]
pub(crate) struct Held<T> {
    pub(crate) key: String,
    pub(crate) text: String,
    pub(crate) value: T,
}

impl<T: Serialize + DeserializeOwned> Held<T> {
    /// The record as it will be when what was just written commits.
    pub(crate) fn new(key: String, value: T) -> Self {
        Self { key, text: text_of(&value), value }
    }

    pub(crate) fn of(record: Record) -> Result<Self, StoreError> {
        let Record { key, value: text } = record;
        let value = parse(&key, &text)?;
        Ok(Self { key, text, value })
    }

    /// The record, as the transaction sees it.
    pub(crate) async fn find<D: ReadDb>(db: &D, tx: &mut D::Tx, key: String) -> Result<Option<Self>, StoreError> {
        match db.record(tx, &key).await? {
            Some(value) => Self::of(Record { key, value }).map(Some),
            None => Ok(None),
        }
    }

    /// The record, as it is committed.
    pub(crate) async fn committed<D: ReadDb>(db: &D, key: &str) -> Result<Option<Self>, StoreError> {
        let first = db.records(key, "", 1).await?.into_iter().next();
        first.filter(|record| record.key == key).map(Self::of).transpose()
    }

    /// Writes `value` in its place, if it is still there; otherwise, nothing.
    pub(crate) async fn replace<D: ReadDb>(&self, db: &D, tx: &mut D::Tx, value: &T) -> Result<bool, StoreError> {
        db.replace(tx, &self.key, Some(&self.text), Some(&text_of(value))).await
    }

    /// Takes it away, if it is still there.
    pub(crate) async fn remove<D: ReadDb>(&self, db: &D, tx: &mut D::Tx) -> Result<bool, StoreError> {
        db.replace(tx, &self.key, Some(&self.text), None).await
    }
}

/// Writes a record where there is none.
pub(crate) async fn add<D: ReadDb>(db: &D, tx: &mut D::Tx, key: &str, value: &impl Serialize) -> Result<bool, StoreError> {
    db.replace(tx, key, None, Some(&text_of(value))).await
}

/// Writes a record, whatever stands there.
pub(crate) async fn put<D: ReadDb>(db: &D, tx: &mut D::Tx, key: &str, value: Option<&impl Serialize>) -> Result<(), StoreError> {
    let old = db.record(tx, key).await?;
    match db.replace(tx, key, old.as_deref(), value.map(text_of).as_deref()).await? {
        true => Ok(()),
        false => Err(StoreError::new(StoreErrorKind::Unavailable, format!("{key} is written by another just now: try again"))),
    }
}

/// All records under a prefix.
pub(crate) async fn all<D: ReadDb>(db: &D, prefix: &str) -> Result<Vec<Record>, StoreError> {
    let mut all: Vec<Record> = Vec::new();
    loop {
        let after = all.last().map_or("", |record| &record.key);
        let some = db.records(prefix, after, RECORDS_AT_A_TIME).await?;
        let last = some.len() < RECORDS_AT_A_TIME;
        all.extend(some);
        if last {
            return Ok(all);
        }
    }
}

const RECORDS_AT_A_TIME: usize = 1_000;

pub(crate) fn text_of(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("a record has no key that is not a text")
}

fn parse<T: DeserializeOwned>(key: &str, text: &str) -> Result<T, StoreError> {
    serde_json::from_str(text).map_err(|error| {
        let message = format!("the record {key} is not one of this version's: run the newer program, or restore it");
        StoreError::new(StoreErrorKind::Unsupported, message).caused_by(error)
    })
}

/// A position, as its number.
pub(crate) mod position {
    use serde::{Deserialize, Deserializer, Serializer};

    use crate::Position;

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
    pub(crate) fn serialize<S: Serializer>(position: &Position, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(position.get())
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Position, D::Error> {
        u64::deserialize(deserializer).map(Position::new)
    }
}

/// Anything that is written and read as a text.
pub(crate) mod text {
    use std::fmt::Display;
    use std::str::FromStr;

    use serde::{Deserialize, Deserializer, Serializer, de};

    pub(crate) fn serialize<S: Serializer>(value: &impl Display, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(value)
    }

    pub(crate) fn deserialize<'de, T: FromStr<Err: Display>, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}
