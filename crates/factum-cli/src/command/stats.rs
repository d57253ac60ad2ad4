//! `factum stats`: what the store holds.

use std::cmp::Reverse;
use std::collections::HashMap;

use factum::{AnyStore, Category, ReadStreams, Store};
use serde::Serialize;

use crate::command::Context;
use crate::exit::Failure;
use crate::target::Opened;

/// The most categories that are listed, the ones with the most events.
const CATEGORIES_MAX: usize = 20;

#[derive(Serialize)]
struct Stats {
    events: u64,
    streams: u64,
    #[serde(flatten)]
    folder: Option<Folder>,
    categories: Vec<Row>,
}

/// What there is to say of a folder.
#[derive(Serialize)]
struct Folder {
    segments: u64,
    segment_bytes: u64,
    index_bytes: u64,
    log_id: String,
}

#[derive(Serialize)]
struct Row {
    category: String,
    streams: u64,
    events: u64,
}

/// Counts, and prints.
pub(crate) async fn run(mut context: Context<'_>) -> Result<(), Failure> {
    let opened = context.target.reader().await?;
    let store = opened.store();
    let folder = match &opened {
        Opened::Embedded(embedded) => Some(folder(&embedded.stats()?)),
        Opened::Postgres(_) => None,
    };
    let (events, categories) = (store.head().await?, categories(&store).await?);
    let streams = categories.values().map(|(streams, _)| streams).sum();
    let mut rows: Vec<Row> =
        categories.into_iter().map(|(category, (streams, events))| row(&category, streams, events)).collect();
    rows.sort_by_key(|row| (Reverse(row.events), Reverse(row.streams), row.category.clone()));
    rows.truncate(CATEGORIES_MAX);
    context.output.record(&Stats { events: events.get(), streams, folder, categories: rows })
}

fn folder(engine: &factum_embedded::Stats) -> Folder {
    let factum_embedded::Stats { segments, segment_bytes, index_bytes, .. } = *engine;
    Folder { segments, segment_bytes, index_bytes, log_id: engine.log_id.to_string() }
}

fn row(category: &Category, streams: u64, events: u64) -> Row {
    Row { category: category.to_string(), streams, events }
}

/// The streams and the events of each category.
async fn categories(store: &AnyStore) -> Result<HashMap<Category, (u64, u64)>, Failure> {
    let mut categories: HashMap<Category, (u64, u64)> = HashMap::new();
    let mut read = ReadStreams { limit: factum::limits::PAGE_EVENTS_MAX, ..ReadStreams::default() };
    loop {
        let page = store.streams(read.clone()).await?;
        for stream in page.streams {
            let (streams, events) = categories.entry(stream.name.category()).or_default();
            *streams += 1;
            *events += stream.version.get();
        }
        match page.rest {
            Some(rest) => read.after = rest,
            None => return Ok(categories),
        }
    }
}
