//! cqrs-es on PostgreSQL: aggregates, and their events by numbers of their own.

use std::convert::Infallible;
use std::sync::Arc;

use anyhow::{Result, bail};
use cqrs_es::event_sink::EventSink;
use cqrs_es::persist::{PersistedEventRepository, SerializedEvent};
use cqrs_es::{Aggregate, DomainEvent};
use postgres_es::{PostgresEventRepository, default_postgress_pool};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::contender::{self, Contender, Seen};
use crate::entry::Entry;

/// The table that it wants.
const TABLE: &str = "
    CREATE TABLE IF NOT EXISTS events (
        aggregate_type text NOT NULL,
        aggregate_id text NOT NULL,
        sequence bigint CHECK (0 <= sequence) NOT NULL,
        event_type text NOT NULL,
        event_version text NOT NULL,
        payload json NOT NULL,
        metadata json NOT NULL,
        PRIMARY KEY (aggregate_type, aggregate_id, sequence)
    )";

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Recorded;

impl DomainEvent for Recorded {
    fn event_type(&self) -> String {
        "StudentEnrolled".to_owned()
    }

    fn event_version(&self) -> String {
        "1".to_owned()
    }
}

/// Its type alone is asked for.
#[derive(Default, Serialize, Deserialize)]
struct Student;

impl Aggregate for Student {
    const TYPE: &'static str = "student";
    type Command = ();
    type Event = Recorded;
    type Error = Infallible;
    type Services = ();

    async fn handle(&mut self, _command: (), _services: &(), _sink: &EventSink<Self>) -> Result<(), Infallible> {
        Ok(())
    }

    fn apply(&mut self, _event: Recorded) {}
}

/// A database with events.
pub(crate) struct PostgresEs {
    repository: Arc<PostgresEventRepository>,
}

/// A writer of an aggregate whose last number it knows.
pub(crate) struct Writer {
    repository: Arc<PostgresEventRepository>,
    aggregate: String,
    sequence: usize,
}

impl Contender for PostgresEs {
    type Writer = Writer;

    async fn open(url: &str) -> Result<Self> {
        let pool = default_postgress_pool(url).await;
        sqlx::query(TABLE).execute(&pool).await?;
        Ok(Self { repository: Arc::new(PostgresEventRepository::new(pool)) })
    }

    fn writer(&self, number: u64) -> Result<Writer> {
        Ok(Writer { repository: Arc::clone(&self.repository), aggregate: format!("writer-{number}"), sequence: 0 })
    }

    async fn follow(self: Arc<Self>, _seen: Seen) -> Result<()> {
        bail!("postgres-es has no order over streams to follow")
    }

    async fn load(&self, _entries: Vec<Entry>) -> Result<()> {
        bail!("postgres-es is not loaded")
    }

    async fn decide(&self, _entry: Entry) -> Result<()> {
        bail!("postgres-es has no conditions but the numbers of an aggregate's events")
    }
}

impl contender::Writer for Writer {
    async fn append(&mut self, entries: Vec<Entry>) -> Result<u64> {
        let mut events = Vec::new();
        for entry in &entries {
            self.sequence += 1;
            events.push(SerializedEvent::new(
                self.aggregate.clone(),
                self.sequence,
                Student::TYPE.to_owned(),
                Recorded.event_type(),
                Recorded.event_version(),
                serde_json::to_value(entry)?,
                json!({}),
            ));
        }
        self.repository.persist::<Student>(&events, None).await?;
        Ok(0)
    }
}
