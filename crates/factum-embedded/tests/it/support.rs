//! What the tests share: small stores with events in them.

use std::path::Path;

use factum::{Append, Expected, NewEvent, Payload, Query, Read, RecordedEvent, Store, StreamName, Tag, Version};
use factum_embedded::{EmbeddedStore, Options};

/// So small that a few events rotate segments, write runs and merge them.
pub(crate) fn small() -> Options {
    Options::default().segment_bytes(8 << 10).fill_bytes(1 << 10).index_events(16)
}

pub(crate) fn event(stream: &str, n: u64) -> NewEvent {
    let payload = Payload::json(format!("{{\"n\":{n}}}"));
    let mut event = NewEvent::new(StreamName::new(stream).unwrap(), "Happened", payload).unwrap();
    event.tags = vec![Tag::of("n", n % 3).unwrap()];
    event
}

/// Appends this many events, two at a time, to the streams `a-1` and `b-1`; each is to be at the version it is at.
pub(crate) async fn fill(store: &EmbeddedStore, events: u64) {
    let before = store.head().await.unwrap().get() / 2;
    for n in before..before + events / 2 {
        let append = Append::new(vec![event("a-1", n), event("b-1", n)]);
        store.append(append.expect("a-1".parse().unwrap(), Expected::Exact(Version::new(n)))).await.unwrap();
    }
}

/// Every event of a store, by a scan.
pub(crate) async fn everything(store: &EmbeddedStore) -> Vec<RecordedEvent> {
    select(store, Query::all()).await
}

/// Every event that a query selects.
pub(crate) async fn select(store: &EmbeddedStore, query: Query) -> Vec<RecordedEvent> {
    let mut read = Read::new(query);
    let mut events = Vec::new();
    loop {
        let page = store.read(read.clone()).await.unwrap();
        events.extend(page.events);
        match page.rest {
            Some(rest) => read = read.range(rest),
            None => return events,
        }
    }
}

/// The names of a folder's files that end like this.
pub(crate) fn files(folder: &Path, end: &str) -> Vec<String> {
    let names = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = names.filter(|name| name.ends_with(end)).collect();
    names.sort();
    names
}

/// Copies a folder of files.
pub(crate) fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for name in files(from, "") {
        std::fs::copy(from.join(&name), to.join(&name)).unwrap();
    }
}
