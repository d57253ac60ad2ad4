//! A batch: appends that go into one call, none of which depends on what another of them records.

use std::collections::HashSet;

use factum::{
    Append, ConsumerName, EventId, Expected, Position, Query, RecordedEvent, Scope, Selector, StreamName, Timestamp, Version,
};

/// The most appends in a call.
pub(crate) const APPENDS_MAX: usize = 512;
/// After this many events no more appends are taken in.
const EVENTS: usize = 10_000;
/// After this many bytes of data.
const BYTES: usize = 16 << 20;

/// Appends that are called together.
#[derive(Default)]
pub(crate) struct Batch {
    appends: Vec<Append>,
    written: HashSet<StreamName>,
    ids: HashSet<EventId>,
    consumers: HashSet<ConsumerName>,
    events: usize,
    bytes: usize,
}

impl Batch {
    /// Whether no other append is to be looked at.
    pub(crate) fn is_full(&self) -> bool {
        EVENTS <= self.events || BYTES <= self.bytes
    }

    /// Whether the append can be called with those that are here: what they record must change nothing for it.
    pub(crate) fn takes(&self, append: &Append) -> bool {
        let expects = |(stream, expected): &(StreamName, Expected)| *expected != Expected::Any && self.written.contains(stream);
        self.events + append.events.len() <= EVENTS.max(append.events.len())
            && !append.expected.iter().any(expects)
            && !append.events.iter().any(|event| self.ids.contains(&event.id))
            && !append.consumed.as_ref().is_some_and(|consumed| self.consumers.contains(&consumed.consumer))
            && !append.condition.as_ref().is_some_and(|condition| self.selects(&condition.query))
    }

    fn selects(&self, query: &Query) -> bool {
        self.appends.iter().flat_map(|append| &append.events).any(|event| {
            // Its version is known later: whether a scope of versions has it is, too.
            let recorded = RecordedEvent::record(event.clone(), Position::MAX, Version::MAX, Timestamp::from_micros(0));
            query.selectors.iter().any(|selector| any_version(selector).selects(&recorded))
        })
    }

    pub(crate) fn push(&mut self, append: Append) {
        self.events += append.events.len();
        self.bytes += append.events.iter().map(|event| event.payload.data.len()).sum::<usize>();
        self.written.extend(append.events.iter().map(|event| event.stream.clone()));
        self.ids.extend(append.events.iter().map(|event| event.id));
        self.consumers.extend(append.consumed.iter().map(|consumed| consumed.consumer.clone()));
        self.appends.push(append);
    }

    pub(crate) fn into_appends(self) -> Vec<Append> {
        self.appends
    }
}

fn any_version(selector: &Selector) -> Selector {
    match &selector.scope {
        Scope::Stream(stream, _) => Selector { scope: Selector::stream(stream.clone()).scope, ..selector.clone() },
        _ => selector.clone(),
    }
}
