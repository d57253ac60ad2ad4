//! Factum's store on PostgreSQL: one log of a database, or several.

use std::sync::Arc;

use ::factum::{
    Append, Expected, NewEvent, Payload, Position, Query, Read, Selector, Store, StreamName, Subscription, Tag, Version,
};
use anyhow::{Context, Result, ensure};
use factum_postgres::{Options, PostgresStore};
use tokio_util::sync::CancellationToken;

use crate::contender::{self, Contender, Seen};
use crate::entry::Entry;

/// So many logs of a database; a writer writes to the one that its number falls to.
pub(crate) struct Factum<const LOGS: usize> {
    logs: Vec<PostgresStore>,
}

/// A writer that expects its stream at the version that it left it at.
pub(crate) struct Writer {
    store: PostgresStore,
    stream: StreamName,
    version: u64,
}

impl<const LOGS: usize> Contender for Factum<LOGS> {
    type Writer = Writer;

    async fn open(url: &str) -> Result<Self> {
        let mut logs = Vec::new();
        for number in 0..LOGS {
            logs.push(Options::default().log(format!("log-{number}")).open(url).await?);
        }
        Ok(Self { logs })
    }

    fn writer(&self, number: u64) -> Result<Writer> {
        let store = self.logs[number as usize % LOGS].clone();
        Ok(Writer { store, stream: format!("writer-{number}").try_into()?, version: 0 })
    }

    async fn follow(self: Arc<Self>, seen: Seen) -> Result<()> {
        let store = self.first()?.clone();
        let mut subscription = Subscription::new(store, Query::all(), Position::START, CancellationToken::new());
        while let Some(batch) = subscription.next().await? {
            for event in &batch.events {
                seen.add(serde_json::from_slice::<Entry>(&event.payload.data)?.number);
            }
        }
        Ok(())
    }

    async fn load(&self, entries: Vec<Entry>) -> Result<()> {
        let events = entries.iter().map(new_event).collect::<Result<_>>()?;
        self.first()?.append(Append::new(events)).await?;
        Ok(())
    }

    async fn decide(&self, entry: Entry) -> Result<()> {
        let store = self.first()?;
        let query: Query = Selector::default().tag(Tag::new(&*entry.student)?).tag(Tag::new(&*entry.course)?).into();
        let page = store.read(Read::new(query.clone())).await?;
        ensure!(page.rest.is_none(), "one page does not hold all that a decision is made on");
        store.append(Append::new(vec![new_event(&entry)?]).condition(query, page.head)).await?;
        Ok(())
    }
}

impl<const LOGS: usize> Factum<LOGS> {
    fn first(&self) -> Result<&PostgresStore> {
        self.logs.first().context("there is no log")
    }
}

impl contender::Writer for Writer {
    async fn append(&mut self, entries: Vec<Entry>) -> Result<u64> {
        let events = entries.iter().map(new_event).collect::<Result<_>>()?;
        let expected = Expected::Exact(Version::new(self.version));
        self.store.append(Append::new(events).expect(self.stream.clone(), expected)).await?;
        self.version += entries.len() as u64;
        Ok(0)
    }
}

fn new_event(entry: &Entry) -> Result<NewEvent> {
    let mut event =
        NewEvent::new(entry.stream.as_str().try_into()?, "StudentEnrolled", Payload::json(serde_json::to_vec(entry)?))?;
    event.tags = vec![Tag::new(&*entry.student)?, Tag::new(&*entry.course)?];
    Ok(event)
}
