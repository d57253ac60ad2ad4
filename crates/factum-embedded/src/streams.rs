//! Listing streams: by the births that the index keeps, in the order of their first events.

use factum::{Change, Direction, Query, Range, ReadStreams, RecordedEvent, StoreError, StreamName, StreamSummary, StreamsPage};

use crate::index::Term;
use crate::reader::View;

/// The most streams that are looked at for a page, whatever few of them it returns.
const LOOKS_MAX: usize = 10_000;

pub(crate) fn streams(view: &View, read: &ReadStreams) -> Result<StreamsPage, StoreError> {
    let limit = read.limit.clamp(1, LOOKS_MAX);
    let term = match &read.category {
        Some(category) => Term::BirthsIn(category.as_str()),
        None => Term::Births,
    };
    let range = Range { after: read.after, through: view.head() };
    let looks = if read.prefix.is_empty() { limit + 1 } else { LOOKS_MAX };
    let births = view.sources().with_term(view.sources().seed.hash(term), range, looks);
    let is_all = births.len() < looks;
    let mut page = StreamsPage { streams: Vec::new(), rest: None };
    let mut looked = read.after;
    for birth in births {
        if page.streams.len() == limit {
            page.rest = Some(looked);
            return Ok(page);
        }
        let first = view.event(birth)?;
        looked = first.position;
        if first.stream.as_str().starts_with(&read.prefix) {
            page.streams.push(summary(view, &first)?);
        }
    }
    page.rest = (!is_all).then_some(looked);
    Ok(page)
}

fn summary(view: &View, first: &RecordedEvent) -> Result<StreamSummary, StoreError> {
    let last = view.places(&Query::stream(first.stream.clone()), Range::through(view.head()), Direction::Backward, 1);
    let last = last.first().map_or_else(|| Ok(first.clone()), |place| view.event(*place))?;
    // A name of its own: the event's holds on to all that was read with it.
    let name = StreamName::new(first.stream.as_str().to_owned()).unwrap_or_else(|_| first.stream.clone());
    Ok(StreamSummary { name, version: last.version, first: first.into(), last: Change::from(&last) })
}
