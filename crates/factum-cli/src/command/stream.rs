//! `factum stream`: lists streams, or shows one.

use factum::{Category, Query, Read, ReadStreams, RecordedEvent, Store, StreamName, StreamSummary};
use factum_http::CloudEvent;
use serde::Serialize;

use crate::args::{self, Format};
use crate::command::Context;
use crate::exit::Failure;

/// Does either.
pub(crate) async fn run(args: args::Stream, context: Context<'_>) -> Result<(), Failure> {
    match args {
        args::Stream::Ls { category, prefix, limit } => list(category, prefix, limit.unwrap_or(u64::MAX), context).await,
        args::Stream::Show { stream, last } => show(stream, last, context).await,
    }
}

/// A stream in a list.
#[derive(Serialize)]
struct Row {
    stream: String,
    version: u64,
    first: String,
    last: String,
}

impl From<StreamSummary> for Row {
    fn from(stream: StreamSummary) -> Self {
        Self {
            stream: stream.name.to_string(),
            version: stream.version.get(),
            first: stream.first.recorded_at.to_string(),
            last: stream.last.recorded_at.to_string(),
        }
    }
}

async fn list(category: Option<Category>, prefix: String, mut limit: u64, mut context: Context<'_>) -> Result<(), Failure> {
    let store = context.target.reader().await?.store();
    let mut read = ReadStreams { category, prefix, ..ReadStreams::default() };
    while 0 < limit {
        read.limit = limit.min(Read::USUAL_LIMIT as u64) as usize;
        let page = store.streams(read.clone()).await?;
        limit -= page.streams.len() as u64;
        context.output.rows(&page.streams.into_iter().map(Row::from).collect::<Vec<_>>())?;
        match page.rest {
            Some(rest) => read.after = rest,
            None => break,
        }
    }
    context.output.finish()
}

/// A stream, and the last of its events as CloudEvents.
#[derive(Serialize)]
struct Shown<'a> {
    stream: &'a str,
    version: u64,
    first: String,
    last: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    events: Option<Vec<CloudEvent<'a>>>,
}

async fn show(stream: StreamName, last: u64, mut context: Context<'_>) -> Result<(), Failure> {
    let store = context.target.reader().await?.store();
    let read = Read::new(Query::stream(stream.clone()));
    let first = store.read(read.clone().limit(1)).await?.events.into_iter().next();
    let mut events = store.read(read.backward().limit(last as usize)).await?.events;
    events.reverse();
    let (Some(first), Some(newest)) = (first, events.last()) else {
        let hint = "`factum stream ls --prefix TEXT` lists the streams whose names begin like that";
        return Err(Failure::not_found(format!("there is no stream {stream}")).hint(hint));
    };
    let table = context.output.format() == Format::Table;
    context.output.record(&shown(&first, newest, (!table).then_some(&events)))?;
    if table {
        context.output.text("\n")?;
        context.output.events(&events)?;
        context.output.flush()?;
    }
    Ok(())
}

fn shown<'a>(first: &RecordedEvent, newest: &'a RecordedEvent, events: Option<&'a Vec<RecordedEvent>>) -> Shown<'a> {
    Shown {
        stream: newest.stream.as_str(),
        version: newest.version.get(),
        first: first.recorded_at.to_string(),
        last: newest.recorded_at.to_string(),
        events: events.map(|events| events.iter().map(CloudEvent::from).collect()),
    }
}
