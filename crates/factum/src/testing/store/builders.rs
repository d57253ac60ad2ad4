//! What rules are written with: events by short names, appends that must pass, reads of everything.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;

use tokio::sync::Barrier;
use tokio::task::{JoinError, JoinSet};

use crate::limits::PAGE_BYTES;
use crate::{
    AnyStore, Append, AppendError, Appended, Conflict, ConsumerName, Direction, EventType, NewEvent, Page, Payload, Position,
    Query, Range, Read, ReadStreams, RecordedEvent, Scope, Selector, Store, StreamName, StreamSummary, Tag, Version, Versions,
};

pub(super) fn stream(name: &str) -> StreamName {
    name.parse().expect("the suite's own stream names are names")
}

pub(super) fn event_type(name: &str) -> EventType {
    name.parse().expect("the suite's own event types are names")
}

pub(super) fn tag(text: &str) -> Tag {
    text.parse().expect("the suite's own tags are tags")
}

pub(super) fn consumer(name: &str) -> ConsumerName {
    name.parse().expect("the suite's own consumer names are names")
}

/// An event of no interest, with a new id.
pub(super) fn event(stream_name: &str) -> NewEvent {
    typed(stream_name, "Happened")
}

/// Events of no interest, with new ids.
pub(super) fn events(stream_name: &str, count: usize) -> Vec<NewEvent> {
    (0..count).map(|_| event(stream_name)).collect()
}

pub(super) fn typed(stream_name: &str, type_name: &str) -> NewEvent {
    NewEvent::new(stream(stream_name), type_name, Payload::json("{}")).expect("the suite's own event types are names")
}

pub(super) fn tagged(stream_name: &str, tags: &[&str]) -> NewEvent {
    NewEvent { tags: tags.iter().map(|text| tag(text)).collect(), ..event(stream_name) }
}

/// What has all of these tags.
pub(super) fn with_tags(tags: &[&str]) -> Query {
    Selector { tags: tags.iter().map(|text| tag(text)).collect(), ..Selector::default() }.into()
}

/// What is of any of these types.
pub(super) fn of_types(names: &[&str]) -> Query {
    Selector { event_types: names.iter().map(|name| event_type(name)).collect(), ..Selector::default() }.into()
}

/// A range of positions, as numbers.
pub(super) fn range(after: u64, through: u64) -> Range {
    Range { after: Position::new(after), through: Position::new(through) }
}

/// Records what must be recorded.
pub(super) async fn record(store: &AnyStore, events: Vec<NewEvent>) -> Appended {
    accept(store, Append::new(events)).await
}

/// Appends what must be accepted.
pub(super) async fn accept(store: &AnyStore, append: Append) -> Appended {
    match store.append(append).await {
        Ok(appended) => appended,
        Err(refusal) => panic!("an append that nothing speaks against is refused: {refusal:?}"),
    }
}

/// Appends what must be refused, and checks that it records nothing.
pub(super) async fn refuse(store: &AnyStore, append: Append) -> AppendError {
    let before = head(store).await;
    let what = format!("{:?}, {:?}, {:?}", append.expected.first(), append.condition, append.consumed);
    match store.append(append).await {
        Err(refusal) => {
            let after = head(store).await;
            assert_eq!(before, after, "a refused append ({refusal:?}) moved the head");
            refusal
        }
        Ok(appended) => panic!("an append that must be refused ({what}) is recorded: {appended:?}"),
    }
}

/// The conflict that an append was refused with.
pub(super) fn conflict(refusal: AppendError) -> Conflict {
    match refusal {
        AppendError::Conflict(conflict) => conflict,
        other => panic!("a conflict is refused as something else: {other:?}"),
    }
}

/// Whether the append was recorded, of racers that win or conflict.
pub(super) fn won(answer: &Result<Appended, AppendError>) -> bool {
    match answer {
        Ok(_) => true,
        Err(AppendError::Conflict(_)) => false,
        Err(other) => panic!("a racer is refused with something else than a conflict: {other:?}"),
    }
}

pub(super) async fn head(store: &AnyStore) -> Position {
    store.head().await.expect("the head can be read")
}

/// The version of a stream, by the last event in it.
pub(super) async fn version(store: &AnyStore, name: &StreamName) -> Version {
    let mut read = Read::new(Query::stream(name.clone())).backward().limit(1);
    loop {
        let page = store.read(read.clone()).await.expect("a stream can be read");
        match (page.events.first(), page.rest) {
            (Some(last), _) => return last.version,
            (None, Some(rest)) => read.range = rest,
            (None, None) => return Version::EMPTY,
        }
    }
}

/// Every event.
pub(super) async fn everything(store: &AnyStore) -> Vec<RecordedEvent> {
    select(store, Query::all()).await
}

/// Every event that a query selects.
pub(super) async fn select(store: &AnyStore, query: Query) -> Vec<RecordedEvent> {
    read_all(store, Read::new(query).limit(usize::MAX)).await
}

/// The positions of every event that a query selects.
pub(super) async fn positions(store: &AnyStore, query: Query) -> Vec<u64> {
    select(store, query).await.iter().map(|event| event.position.get()).collect()
}

/// Every event of a read, over all of its pages.
pub(super) async fn read_all(store: &AnyStore, read: Read) -> Vec<RecordedEvent> {
    pages(store, read).await.into_iter().flat_map(|page| page.events).collect()
}

/// The pages of a read, each of them checked.
pub(super) async fn pages(store: &AnyStore, mut read: Read) -> Vec<Page> {
    let mut pages = Vec::new();
    loop {
        let page = store.read(read.clone()).await.expect("a store can be read");
        check_page(&read, &page);
        let rest = page.rest;
        pages.push(page);
        match rest {
            Some(rest) => read.range = rest,
            None => return pages,
        }
    }
}

/// What holds of every page, whatever the store.
pub(super) fn check_page(read: &Read, page: &Page) {
    let events = &page.events;
    assert!(events.len() <= read.page_limit(), "a page of at most {} events has {}", read.page_limit(), events.len());
    let bytes: usize = events.iter().rev().skip(1).map(|event| event.payload.data.len()).sum();
    assert!(bytes < PAGE_BYTES, "a page goes on after {bytes} bytes");
    for event in events {
        let position = event.position;
        assert!(read.range.contains(position) && position <= page.head, "{position} is not in {read:?} at head {}", page.head);
        assert!(read.query.selects(event), "{:?} does not select {event:?}", read.query);
    }
    for pair in events.windows(2) {
        let (first, second) = (pair[0].position, pair[1].position);
        let ordered = match read.direction {
            Direction::Forward => first < second,
            Direction::Backward => second < first,
        };
        assert!(ordered, "position {second} stands after {first} in a page that goes {:?}", read.direction);
    }
    if let Some(rest) = page.rest {
        let within = read.range.after <= rest.after && rest.through <= read.range.through && rest != read.range;
        assert!(within && !rest.is_empty(), "the rest of {:?} is {rest:?}", read.range);
        assert!(!events.iter().any(|event| rest.contains(event.position)), "the rest {rest:?} has what the page has");
    }
}

/// Every stream that a read selects, over all of its pages.
pub(super) async fn all_streams(store: &AnyStore, mut read: ReadStreams) -> Vec<StreamSummary> {
    let mut streams = Vec::new();
    loop {
        let page = store.streams(read.clone()).await.expect("streams can be read");
        assert!(page.streams.len() <= read.limit.max(1), "a page of at most {} streams has {}", read.limit, page.streams.len());
        streams.extend(page.streams);
        match page.rest {
            Some(rest) => {
                assert!(read.after < rest, "the rest of the streams after {} begins after {rest}", read.after);
                read.after = rest;
            }
            None => return streams,
        }
    }
}

/// The versions of a stream after one and through another.
pub(super) fn versions(name: &str, after: u64, through: u64) -> Query {
    let versions = Versions { after: Version::new(after), through: Version::new(through) };
    Selector::from(Scope::Stream(stream(name), versions)).into()
}

/// Runs the racers at once, let go together by one barrier; their answers, in their order.
pub(super) async fn race<T: Send + 'static, F>(racers: impl IntoIterator<Item = F>) -> Vec<T>
where
    F: Future<Output = T> + Send + 'static,
{
    let racers: Vec<F> = racers.into_iter().collect();
    let barrier = Arc::new(Barrier::new(racers.len()));
    let mut tasks = JoinSet::new();
    for (number, racer) in racers.into_iter().enumerate() {
        let barrier = Arc::clone(&barrier);
        tasks.spawn(async move {
            barrier.wait().await;
            (number, racer.await)
        });
    }
    let mut answers = Vec::new();
    while let Some(answer) = tasks.join_next().await {
        answers.push(joined(answer));
    }
    answers.sort_by_key(|(number, _)| *number);
    answers.into_iter().map(|(_, answer)| answer).collect()
}

/// What a task answered; its panic goes on in the rule.
pub(super) fn joined<T>(answer: Result<T, JoinError>) -> T {
    match answer {
        Ok(answer) => answer,
        Err(failure) if failure.is_panic() => std::panic::resume_unwind(failure.into_panic()),
        Err(failure) => panic!("a task of the suite was stopped: {failure}"),
    }
}

/// Appends all of these at once, let go together by one barrier.
pub(super) async fn race_appends(
    store: &AnyStore,
    appends: impl IntoIterator<Item = Append>,
) -> Vec<Result<Appended, AppendError>> {
    let racer = |append: Append| {
        let store = store.clone();
        async move { store.append(append).await }
    };
    race(appends.into_iter().map(racer)).await
}

/// Polls once: whether it is done at once, in a schedule of our own.
pub(super) async fn is_ready<F: Future>(future: &mut Pin<&mut F>) -> bool {
    poll_fn(|context| Poll::Ready(future.as_mut().poll(context).is_ready())).await
}
