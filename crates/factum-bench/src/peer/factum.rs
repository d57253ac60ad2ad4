//! Factum's embedded store.

use std::path::Path;
use std::sync::Arc;

use ::factum::limits::PAGE_EVENTS_MAX;
use ::factum::{
    Append, EventId, Expected, NewEvent, Payload, Query, Range, Read, RecordedEvent, Selector, Store, StreamName, Tag, Version,
};
use anyhow::{Result, ensure};
use factum_embedded::EmbeddedStore;

use super::{PAGE_EVENTS, Peer, Tally};
use crate::workload::{self, Event};

const _: () = assert!(PAGE_EVENTS == PAGE_EVENTS_MAX);

/// An open store.
pub(crate) struct Factum {
    store: EmbeddedStore,
}

/// A writer that expects its stream at the version that it left it at.
pub(crate) struct Writer {
    store: EmbeddedStore,
    stream: StreamName,
    version: u64,
    events: Vec<NewEvent>,
}

impl Peer for Factum {
    type Writer = Writer;
    const BLOCKING: bool = false;

    async fn open(folder: &Path) -> Result<Self> {
        Ok(Self { store: factum_embedded::open(folder)? })
    }

    fn writer(self: &Arc<Self>, stream: &str, events: usize) -> Result<Writer> {
        let events = (0..events as u64).map(|number| new_event(workload::of_writer(stream, number))).collect::<Result<_>>()?;
        Ok(Writer { store: self.store.clone(), stream: stream.parse()?, version: 0, events })
    }

    async fn load(&self, events: Vec<Event>) -> Result<()> {
        let events = events.into_iter().map(new_event).collect::<Result<_>>()?;
        self.store.append(Append::new(events)).await?;
        Ok(())
    }

    async fn read_all(&self) -> Result<Tally> {
        let mut tally = Tally::default();
        let mut rest = Some(Range::ALL);
        while let Some(range) = rest {
            let page = self.store.read(Read::new(Query::all()).range(range).limit(PAGE_EVENTS)).await?;
            page.events.iter().for_each(|event| tally.add(&event.payload.data));
            rest = page.rest;
        }
        Ok(tally)
    }

    async fn read_stream(&self, stream: String) -> Result<Tally> {
        let page = self.store.read(Read::new(Query::stream(stream.try_into()?))).await?;
        tally_of_all(&page.events, page.rest)
    }

    async fn read_tagged(&self, tags: [String; 2]) -> Result<Tally> {
        let page = self.store.read(Read::new(having(tags)?)).await?;
        tally_of_all(&page.events, page.rest)
    }

    async fn decide(&self, event: Event) -> Result<()> {
        let query = having(event.tags.clone())?;
        let page = self.store.read(Read::new(query.clone())).await?;
        tally_of_all(&page.events, page.rest)?;
        self.store.append(Append::new(vec![new_event(event)?]).condition(query, page.head)).await?;
        Ok(())
    }

    async fn close(self) -> Result<()> {
        self.store.close();
        Ok(())
    }
}

impl super::Writer for Writer {
    async fn append(&mut self) -> Result<()> {
        let events = self.events.iter().map(|event| NewEvent { id: EventId::new(), ..event.clone() }).collect();
        let expected = Expected::Exact(Version::new(self.version));
        self.store.append(Append::new(events).expect(self.stream.clone(), expected)).await?;
        self.version += self.events.len() as u64;
        Ok(())
    }
}

/// The events that have both tags.
fn having([one, other]: [String; 2]) -> Result<Query> {
    Ok(Selector::default().tag(Tag::new(one)?).tag(Tag::new(other)?).into())
}

fn tally_of_all(events: &[RecordedEvent], rest: Option<Range>) -> Result<Tally> {
    ensure!(rest.is_none(), "one page does not hold all that was asked for");
    let mut tally = Tally::default();
    events.iter().for_each(|event| tally.add(&event.payload.data));
    Ok(tally)
}

fn new_event(event: Event) -> Result<NewEvent> {
    let Event { stream, version: _, event_type, tags, data } = event;
    let mut new = NewEvent::new(stream.try_into()?, event_type, Payload::json(data))?;
    new.tags = tags.into_iter().map(Tag::new).collect::<Result<_, _>>()?;
    Ok(new)
}
