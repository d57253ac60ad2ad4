//! UmaDB's core crate in this process, called the way its own server calls it.

use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;

use anyhow::{Context, Result, anyhow};
use tokio::sync::{mpsc, oneshot, watch};
use umadb_core::db::UmaDb as Reader;
use umadb_core::mvcc::{Mvcc, StorageOptions};
use umadb_core::writer_thread_blocking::writer_thread_blocking;
use umadb_core::writer_thread_request::WriterThreadRequest;
use umadb_dcb::{DcbAppendCondition, DcbEvent, DcbEventStoreSync, DcbQuery, DcbQueryItem, DcbSequencedEvent};
use uuid::Uuid;

use super::{PAGE_EVENTS, Peer, Tally};
use crate::workload::{self, Event};

/// The version that the workspace pins.
pub(crate) const VERSION: &str = "0.7.8";

/// What its server waits for in the queue to its writer thread, and at most commits at once, in events.
const QUEUE: usize = 1_024;
const BATCH_EVENTS_MAX: usize = 2_048;

/// An open database with its writer thread.
pub(crate) struct UmaDb {
    reader: Reader,
    requests: mpsc::Sender<WriterThreadRequest>,
    writer: JoinHandle<()>,
}

/// A writer whose appends fail if its stream has an event after the last that it appended.
pub(crate) struct Writer {
    requests: mpsc::Sender<WriterThreadRequest>,
    stream: DcbQuery,
    after: Option<u64>,
    events: Vec<DcbEvent>,
}

impl Peer for UmaDb {
    type Writer = Writer;
    const BLOCKING: bool = false;

    async fn open(folder: &Path) -> Result<Self> {
        let mvcc = Arc::new(Mvcc::new(false, StorageOptions::default().db_path(folder))?);
        let reader = Reader::from_arc(Arc::clone(&mvcc));
        let (head, _) = watch::channel(reader.head()?);
        let (requests, queue) = mpsc::channel(QUEUE);
        let writer = std::thread::spawn(move || writer_thread_blocking(mvcc, queue, head, BATCH_EVENTS_MAX));
        Ok(Self { reader, requests, writer })
    }

    fn writer(self: &Arc<Self>, stream: &str, events: usize) -> Result<Writer> {
        let events = (0..events as u64).map(|number| dcb_event(workload::of_writer(stream, number))).collect();
        Ok(Writer { requests: self.requests.clone(), stream: having([stream_tag(stream)]), after: None, events })
    }

    async fn load(&self, events: Vec<Event>) -> Result<()> {
        append(&self.requests, events.into_iter().map(dcb_event).collect(), None).await?;
        Ok(())
    }

    async fn read_all(&self) -> Result<Tally> {
        let mut tally = Tally::default();
        let mut start = Some(1);
        while let Some(from) = start {
            let (events, _) = self.reader.read_with_head(None, Some(from), false, Some(PAGE_EVENTS as u32))?;
            count(&mut tally, &events);
            start = events.last().map(|event| event.position + 1);
        }
        Ok(tally)
    }

    async fn read_stream(&self, stream: String) -> Result<Tally> {
        self.read(having([stream_tag(&stream)])).map(|(tally, _)| tally)
    }

    async fn read_tagged(&self, tags: [String; 2]) -> Result<Tally> {
        self.read(having(tags)).map(|(tally, _)| tally)
    }

    async fn decide(&self, event: Event) -> Result<()> {
        let query = having(event.tags.clone());
        let (_, head) = self.read(query.clone())?;
        append(&self.requests, vec![dcb_event(event)], Some(DcbAppendCondition::new(query).after(head))).await?;
        Ok(())
    }

    async fn close(self) -> Result<()> {
        self.requests.send(WriterThreadRequest::Shutdown).await?;
        self.writer.join().map_err(|_| anyhow!("UmaDB's writer thread panicked"))
    }
}

impl UmaDb {
    fn read(&self, query: DcbQuery) -> Result<(Tally, Option<u64>)> {
        let (events, head) = self.reader.read_with_head(Some(query), None, false, None)?;
        let mut tally = Tally::default();
        count(&mut tally, &events);
        Ok((tally, head))
    }
}

impl super::Writer for Writer {
    async fn append(&mut self) -> Result<()> {
        let events = self.events.iter().map(|event| DcbEvent { uuid: Some(Uuid::now_v7()), ..event.clone() }).collect();
        let condition = DcbAppendCondition::new(self.stream.clone()).after(self.after);
        self.after = Some(append(&self.requests, events, Some(condition)).await?);
        Ok(())
    }
}

async fn append(
    requests: &mpsc::Sender<WriterThreadRequest>,
    events: Vec<DcbEvent>,
    condition: Option<DcbAppendCondition>,
) -> Result<u64> {
    let (response_tx, response) = oneshot::channel();
    let request = WriterThreadRequest::Append { events, condition, tracking_info: None, response_tx, cancel: None };
    requests.send(request).await.ok().context("UmaDB's writer thread has ended")?;
    Ok(response.await??)
}

/// The events that have all of the tags.
fn having(tags: impl IntoIterator<Item = String>) -> DcbQuery {
    DcbQuery::new().item(DcbQueryItem::new().tags(tags))
}

/// A stream is a tag among others there.
fn stream_tag(stream: &str) -> String {
    format!("stream:{stream}")
}

fn count(tally: &mut Tally, events: &[DcbSequencedEvent]) {
    events.iter().for_each(|event| tally.add(&event.event.data));
}

fn dcb_event(event: Event) -> DcbEvent {
    let Event { stream, version: _, event_type, tags: [one, other], data } = event;
    DcbEvent {
        event_type: event_type.to_owned(),
        tags: vec![stream_tag(&stream), one, other],
        data: data.into(),
        uuid: Some(Uuid::now_v7()),
        metadata: Vec::new(),
    }
}
