//! Any bytes, as the only segment of a store: it opens or is refused, and has no event that is not in the bytes.

#![no_main]

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use factum::{Query, Read, Store, StoreError};
use factum_embedded::simulation::{Image, SimulatedDisk};
use factum_embedded::{EmbeddedStore, Options};
use factum_fuzz::Event;

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    let (segment, is_odd) = factum_fuzz::segment(input);
    let written = factum_fuzz::events(&segment);
    let mut image = Image::default();
    image.put("00000000.seg", segment);
    let disk = image.disk();
    let Ok(events) = recover(&disk) else { return };
    assert!(written.starts_with(&events), "{events:?} was recovered, {written:?} was written");
    assert!(is_odd || events == written, "only {events:?} was recovered, {written:?} was written");
    // What recovery left is a whole store.
    assert_eq!(recover(&disk.durable().disk()).expect("a recovered store opens again"), events);
});

fn recover(disk: &SimulatedDisk) -> Result<Vec<Event>, StoreError> {
    let store = Options::default().fill_bytes(1 << 10).index_events(4).index_inline().open_on(Arc::new(disk.clone()))?;
    let events = read_all(&store);
    store.close();
    events
}

fn read_all(store: &EmbeddedStore) -> Result<Vec<Event>, StoreError> {
    let mut read = Read::new(Query::all());
    let mut events = Vec::new();
    loop {
        // Outside of a runtime a read never waits.
        let page = match pin!(store.read(read.clone())).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(page) => page?,
            Poll::Pending => unreachable!("a read never waits"),
        };
        events.extend(page.events.iter().map(|event| Event {
            position: event.position.get(),
            version: event.version.get(),
            id: event.id.uuid().into_bytes(),
        }));
        match page.rest {
            Some(rest) => read.range = rest,
            None => return Ok(events),
        }
    }
}
