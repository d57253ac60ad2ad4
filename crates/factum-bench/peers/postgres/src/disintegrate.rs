//! disintegrate: decisions over any events that a query selects.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use ::disintegrate::{Event, EventListener, EventStore, PersistedEvent, StreamItem, StreamQuery, query};
use anyhow::{Context, Result, bail};
use async_trait::async_trait;
use disintegrate_postgres::{Error, PgEventId, PgEventListener, PgEventListenerConfig, PgEventStore};
use disintegrate_serde::serde::json::Json;
use futures::TryStreamExt;
use serde::{Deserialize, Serialize};
use sqlx::postgres::{PgConnectOptions, PgPool};

use crate::contender::{self, Contender, Seen};
use crate::entry::Entry;

/// How often its listener looks where no notification came.
const POLL: Duration = Duration::from_millis(100);

/// The event, with the ids that it is found by.
#[derive(Debug, Clone, Serialize, Deserialize, Event)]
enum Recorded {
    Entered {
        #[id]
        student: String,
        #[id]
        course: String,
        stream: String,
        number: u64,
        note: String,
    },
}

impl From<Entry> for Recorded {
    fn from(Entry { stream, student, course, number, note }: Entry) -> Self {
        Self::Entered { student, course, stream, number, note }
    }
}

type Store = PgEventStore<Recorded, Json<Recorded>>;

/// An open store.
pub(crate) struct Disintegrate {
    store: Store,
    /// The listener's own, so that writers leave it a connection.
    listened: Store,
}

/// A writer that expects no event of its student after its own last one.
pub(crate) struct Writer {
    store: Store,
    query: StreamQuery<PgEventId, Recorded>,
    last: PgEventId,
}

impl Contender for Disintegrate {
    type Writer = Writer;

    async fn open(url: &str) -> Result<Self> {
        create(url).await?;
        let store = PgEventStore::new_uninitialized(PgPool::connect(url).await?, Json::default());
        let listened = PgEventStore::new_uninitialized(PgPool::connect(url).await?, Json::default());
        Ok(Self { store, listened })
    }

    fn writer(&self, number: u64) -> Result<Writer> {
        let student = format!("student:{number}");
        Ok(Writer { store: self.store.clone(), query: query!(Recorded; student == student), last: 0 })
    }

    async fn follow(self: Arc<Self>, seen: Seen) -> Result<()> {
        let config = PgEventListenerConfig::poller(POLL).with_notifier();
        let listener = Listener { query: query!(Recorded), seen };
        PgEventListener::builder(self.listened.clone()).register_listener(listener, config).start().await?;
        bail!("the listener has stopped")
    }

    async fn load(&self, entries: Vec<Entry>) -> Result<()> {
        self.store.append_without_validation(entries.into_iter().map(Recorded::from).collect()).await?;
        Ok(())
    }

    async fn decide(&self, entry: Entry) -> Result<()> {
        let (student, course) = (entry.student.clone(), entry.course.clone());
        let query: StreamQuery<PgEventId, Recorded> = query!(Recorded; student == student, course == course);
        let mut last = 0;
        let mut items = self.store.stream(&query);
        while let Some(item) = items.try_next().await? {
            match item {
                StreamItem::Event(event) => last = event.id(),
                StreamItem::End(end) => last = end,
            }
        }
        drop(items);
        self.store.append(vec![entry.into()], query, last).await?;
        Ok(())
    }
}

impl contender::Writer for Writer {
    async fn append(&mut self, entries: Vec<Entry>) -> Result<u64> {
        let events: Vec<_> = entries.into_iter().map(Recorded::from).collect();
        let mut refused = 0;
        loop {
            match self.store.append(events.clone(), self.query.clone(), self.last).await {
                Ok(persisted) => {
                    self.last = persisted.last().context("nothing was recorded")?.id();
                    return Ok(refused);
                }
                Err(error) if is_conflict(&error) => refused += 1,
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// Makes its tables and functions. One of these has a number in hexadecimal, which PostgreSQL before 16 does not read: so that
/// it is there too, it is written again with the same number in decimal.
async fn create(url: &str) -> Result<()> {
    let options: PgConnectOptions = url.parse()?;
    let pool = PgPool::connect_with(options.options([("check_function_bodies", "off")])).await?;
    let _made: Store = PgEventStore::try_new(pool.clone(), Json::default()).await?;
    let select = "SELECT pg_get_functiondef('event_store_begin_epoch'::regproc)";
    let function: String = sqlx::query_scalar(select).fetch_one(&pool).await?;
    sqlx::query(&function.replace("0xFFFFFFFF", "4294967295")).execute(&pool).await?;
    pool.close().await;
    Ok(())
}

/// Whether it is to be decided again: it says so, or what its database says shines through.
fn is_conflict(error: &Error) -> bool {
    match error {
        Error::Concurrency => true,
        Error::Database(sqlx::Error::Database(error)) => error.code().as_deref() == Some("40001"),
        _ => false,
    }
}

/// The follower.
struct Listener {
    query: StreamQuery<PgEventId, Recorded>,
    seen: Seen,
}

#[async_trait]
impl EventListener<PgEventId, Recorded> for Listener {
    type Error = Infallible;

    fn id(&self) -> &'static str {
        "follower"
    }

    fn query(&self) -> &StreamQuery<PgEventId, Recorded> {
        &self.query
    }

    async fn handle(&self, event: PersistedEvent<PgEventId, Recorded>) -> Result<(), Infallible> {
        let Recorded::Entered { number, .. } = event.into_inner();
        self.seen.add(number);
        Ok(())
    }
}
