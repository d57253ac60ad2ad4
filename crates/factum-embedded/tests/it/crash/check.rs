//! What must hold of a store on whatever a power loss left.

use std::collections::HashMap;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};

use factum::{
    Append, Direction, Expected, NewEvent, Position, Query, Range, Read, ReadStreams, RecordedEvent, Scope, Selector, Store,
    StreamName, Version,
};
use factum_embedded::simulation::{Random, SimulatedDisk};
use factum_embedded::{EmbeddedStore, Options};

use super::workload::{self, Commit, History};

/// What a log may have after a crash: the first of these commits, so many of them at least and so many at most.
#[derive(Clone, Copy)]
pub(crate) struct Expectation<'a> {
    /// How the store is opened.
    pub(crate) options: &'a Options,
    pub(crate) history: &'a History,
    pub(crate) at_least: usize,
    pub(crate) at_most: usize,
}

/// Why a store is not as it must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// It cannot be opened or read.
    Refused(String),
    /// Something acknowledged is not there.
    Lost(String),
    /// Something is there that was never appended, or elsewhere, or in part.
    Wrong(String),
    /// The indexes tell something else than the events.
    Derived(String),
}

/// What a store was found to have, and the disk that it was found on.
pub(crate) struct Recovered {
    pub(crate) disk: SimulatedDisk,
    /// How many of the expected commits are there.
    pub(crate) commits: usize,
    /// Those, and one more that was appended since.
    pub(crate) history: History,
    /// How many operations the disk had done when the store was open.
    pub(crate) opened: usize,
}

/// Opens the store of a disk, checks all of it, and appends to it.
pub(crate) fn check(disk: SimulatedDisk, expected: Expectation<'_>, random: &mut Random) -> Result<Recovered, Trouble> {
    block_on(check_store(disk, expected, random))
}

/// Runs a future on this thread. The store needs no runtime, and without one it does not hop to other threads to read.
fn block_on<T>(future: impl Future<Output = T>) -> T {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(result) => return result,
            Poll::Pending => thread::park(),
        }
    }
}

async fn check_store(disk: SimulatedDisk, expected: Expectation<'_>, random: &mut Random) -> Result<Recovered, Trouble> {
    let store = workload::open(&disk, expected.options).map_err(|error| Trouble::Refused(format!("{error:?}")))?;
    let opened = disk.operations();
    let events = read_all(&store, Read::new(Query::all())).await?;
    let commits = check_events(&events, expected)?;
    let commits = check_consumed(&store, commits, expected).await?;
    check_streams(&store, &events).await?;
    for _ in 0..3 {
        check_query(&store, &events, random).await?;
    }
    let new = new_events(expected.history.get(commits), random);
    let more = append_more(&disk, &store, &events, new, random).await?;
    store.close();
    let history = expected.history[..commits].iter().cloned().chain([more.into()]).collect();
    Ok(Recovered { disk, commits, history, opened })
}

impl Recovered {
    /// What a crash after so many operations of this disk may leave: what was read once is not lost any more.
    pub(crate) fn expectation<'a>(&'a self, options: &'a Options, operations: usize) -> Expectation<'a> {
        let more =
            self.history.last().map_or((false, false), |more| (more.acknowledged <= operations, more.submitted <= operations));
        let with = |more: bool| self.commits + usize::from(more);
        Expectation { options, history: &self.history, at_least: with(more.0), at_most: with(more.1) }
    }
}

fn refused(error: impl std::fmt::Debug) -> Trouble {
    Trouble::Refused(format!("{error:?}"))
}

/// All that a read selects, page by page.
pub(crate) async fn read_all(store: &EmbeddedStore, mut read: Read) -> Result<Vec<RecordedEvent>, Trouble> {
    let mut events = Vec::new();
    loop {
        let page = store.read(read.clone()).await.map_err(refused)?;
        events.extend(page.events);
        match page.rest {
            Some(rest) if rest == read.range => return Err(Trouble::Derived(format!("{read:?} makes no progress"))),
            Some(rest) => read.range = rest,
            None => return Ok(events),
        }
    }
}

/// How many commits the events are, at least.
fn check_events(events: &[RecordedEvent], expected: Expectation<'_>) -> Result<usize, Trouble> {
    let acknowledged: usize = expected.history[..expected.at_least].iter().map(|commit| commit.events.len()).sum();
    if events.len() < acknowledged {
        return Err(Trouble::Lost(format!("{} events are there, {acknowledged} were acknowledged", events.len())));
    }
    let mut rest = events;
    for (number, commit) in expected.history.iter().enumerate() {
        if rest.is_empty() && expected.at_least <= number {
            return Ok(number);
        }
        let Some((found, after)) = rest.split_at_checked(commit.events.len()) else {
            return Err(Trouble::Wrong(format!("commit {number} is there in part: {rest:?}")));
        };
        if found != commit.events {
            return Err(Trouble::Wrong(format!("commit {number} was {:?}, not {found:?}", commit.events)));
        }
        if expected.at_most <= number && !found.is_empty() {
            return Err(Trouble::Wrong(format!("commit {number} is there before it was appended")));
        }
        rest = after;
    }
    match rest {
        [] => Ok(expected.history.len()),
        _ => Err(Trouble::Wrong(format!("events that nobody appended: {rest:?}"))),
    }
}

/// Checks what was consumed. How many commits there are: a commit without events can be seen by its mark alone.
async fn check_consumed(store: &EmbeddedStore, commits: usize, expected: Expectation<'_>) -> Result<usize, Trouble> {
    let mut found = HashMap::new();
    for number in 0..3 {
        let consumer: factum::ConsumerName = format!("consumer-{number}").parse().expect("a name");
        let through = store.consumed(consumer.clone()).await.map_err(refused)?;
        if through != Position::START {
            found.insert(consumer, through);
        }
    }
    let mut marks: HashMap<_, _> = expected.history[..commits].iter().filter_map(|commit| commit.consumed.clone()).collect();
    let without_events = expected.history[commits..].iter().take_while(|commit| commit.events.is_empty());
    let mut there = commits;
    for commit in without_events {
        if marks == found {
            break;
        }
        marks.extend(commit.consumed.clone());
        there += 1;
    }
    match marks == found {
        true if there <= expected.at_most => Ok(there),
        true => Err(Trouble::Wrong(format!("commit {there} is there before it was appended"))),
        false => Err(Trouble::Lost(format!("consumed is {found:?}, not {marks:?}"))),
    }
}

async fn check_streams(store: &EmbeddedStore, events: &[RecordedEvent]) -> Result<(), Trouble> {
    let page = store.streams(ReadStreams { limit: 1_000, ..ReadStreams::default() }).await.map_err(refused)?;
    let mut expected: Vec<(StreamName, Version)> = Vec::new();
    for event in events {
        match expected.iter_mut().find(|(stream, _)| *stream == event.stream) {
            Some((_, version)) => *version = event.version,
            None => expected.push((event.stream.clone(), event.version)),
        }
    }
    let found: Vec<_> = page.streams.into_iter().map(|stream| (stream.name, stream.version)).collect();
    if found == expected { Ok(()) } else { Err(Trouble::Derived(format!("the streams are {found:?}, not {expected:?}"))) }
}

async fn check_query(store: &EmbeddedStore, events: &[RecordedEvent], random: &mut Random) -> Result<(), Trouble> {
    let mut read = Read::new(workload::some_query(random)).limit(1 + random.below(20));
    if random.once_in(2) {
        let after = random.below(events.len() + 1) as u64;
        let through = after + random.below(events.len() + 1) as u64;
        read = read.range(Range { after: Position::new(after), through: Position::new(through) });
    }
    if random.once_in(3) {
        read = read.backward();
    }
    let selected = events.iter().filter(|event| read.range.contains(event.position) && read.query.selects(event));
    let mut expected: Vec<_> = selected.map(|event| event.position).collect();
    if read.direction == Direction::Backward {
        expected.reverse();
    }
    let found: Vec<_> = read_all(store, read.clone()).await?.iter().map(|event| event.position).collect();
    if found == expected { Ok(()) } else { Err(Trouble::Derived(format!("{read:?} gives {found:?}, not {expected:?}"))) }
}

/// What to append after a crash: often just as long as the first append that was lost, so that what is left of those that came
/// after it would follow.
fn new_events(lost: Option<&Arc<Commit>>, random: &mut Random) -> Vec<NewEvent> {
    match lost {
        Some(lost) if !lost.events.is_empty() && !random.once_in(3) => {
            lost.events.iter().map(|event| workload::of_the_length_of(event, random)).collect()
        }
        _ => vec![workload::new_event(random)],
    }
}

async fn append_more(
    disk: &SimulatedDisk,
    store: &EmbeddedStore,
    events: &[RecordedEvent],
    new: Vec<NewEvent>,
    random: &mut Random,
) -> Result<Commit, Trouble> {
    let head = Position::new(events.len() as u64);
    let version = |stream: &StreamName| {
        let versions = events.iter().filter(|event| event.stream == *stream).map(|event| event.version);
        versions.last().unwrap_or_default()
    };
    let stream = new[0].stream.clone();
    let append = Append::new(new.clone()).expect(stream.clone(), Expected::Exact(version(&stream)));
    let submitted = disk.operations();
    let appended = store.append(append.condition(workload::some_query(random), head)).await;
    let appended = appended.map_err(|error| Trouble::Refused(format!("one more append: {error:?}")))?;
    let acknowledged = disk.operations();
    let time = appended.recorded_at.ok_or_else(|| Trouble::Wrong("an append without a time".to_owned()))?;
    let mut recorded: Vec<RecordedEvent> = Vec::new();
    for (new, ordinal) in new.into_iter().zip(head.get() + 1..) {
        let before = recorded.iter().rfind(|event| event.stream == new.stream).map(|event| event.version);
        let version = before.unwrap_or_else(|| version(&new.stream)).next();
        recorded.push(RecordedEvent::record(new, Position::new(ordinal), version, time));
    }
    let in_stream: Vec<_> = recorded.iter().filter(|event| event.stream == stream).cloned().collect();
    let by_id = Query::from(Selector::from(Scope::Event(recorded[0].id)));
    for (query, expected) in [(by_id, &recorded[..1]), (Query::stream(stream), &in_stream), (Query::all(), &recorded)] {
        let found = read_all(store, Read::new(query).range(Range::after(head))).await?;
        if found != expected {
            return Err(Trouble::Wrong(format!("one more append was {expected:?}, read as {found:?}")));
        }
    }
    Ok(Commit { events: recorded, consumed: None, submitted, acknowledged })
}
