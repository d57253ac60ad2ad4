//! Commit order: once a reader has seen a position, nothing at or below it appears later.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Barrier;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::bench::Bench;
use super::builders::{check_page, event, events, everything, head, joined, race, race_appends, stream, tagged, with_tags};
use crate::{
    AnyStore, Append, AppendError, Expected, NewEvent, Position, Query, Range, Read, RecordedEvent, Store, Subscription, Version,
};

const WRITERS: usize = 16;
/// How often each writer appends.
const APPENDS: usize = 25;
/// How often a long append races with short ones, and how long it is.
const ROUNDS: usize = 12;
const LONG: usize = 400;

pub(super) async fn readers_miss_nothing_while_writers_append(bench: &Bench<'_>) {
    let store = bench.store().await;
    let token = CancellationToken::new();
    let done = Arc::new(AtomicBool::new(false));
    let mut readers = JoinSet::new();
    let begun = Arc::new(Barrier::new(5));
    // Readers of all that there is stand at the head most of the time; those with small pages are behind.
    for (query, limit) in [(Query::all(), Read::USUAL_LIMIT), (with_tags(&["of:x"]), 7)] {
        readers.spawn(begin(&begun, follow(store.clone(), Read::new(query.clone()).limit(limit), token.clone())));
        readers.spawn(begin(&begun, turn_pages(store.clone(), Read::new(query).limit(limit), Arc::clone(&done))));
    }
    begun.wait().await;
    race((0..WRITERS).map(|number| write(store.clone(), number))).await;
    let end = head(&store).await;
    done.store(true, Ordering::Release);
    let mut seen = Vec::new();
    while seen.len() < 2 {
        seen.push(joined(bench.soon("a reader by pages", next_done(&mut readers)).await));
        if seen.len() == 2 {
            token.cancel();
        }
    }
    while !readers.is_empty() {
        seen.push(joined(bench.soon("a subscription that follows", next_done(&mut readers)).await));
    }
    let all = everything(&store).await;
    assert_eq!(all.len() as u64, end.get(), "positions have a gap");
    for Seen { query, events, through } in seen {
        let there = all.iter().filter(|event| event.position <= through && query.selects(event));
        compare(&events, &there.cloned().collect::<Vec<_>>(), &query);
    }
}

/// Runs a reader as soon as all of them, and the rule, are there: so that none comes when the writers are done.
fn begin<F: Future>(begun: &Arc<Barrier>, reader: F) -> impl Future<Output = F::Output> + use<F> {
    let begun = Arc::clone(begun);
    async move {
        begun.wait().await;
        reader.await
    }
}

async fn next_done(readers: &mut JoinSet<Seen>) -> Result<Seen, tokio::task::JoinError> {
    readers.join_next().await.expect("there are readers left")
}

/// What a reader saw of a query, up to a position.
struct Seen {
    query: Query,
    events: Vec<RecordedEvent>,
    through: Position,
}

/// Says where the reader and the store differ first, rather than all of both.
fn compare(seen: &[RecordedEvent], there: &[RecordedEvent], query: &Query) {
    for (seen, there) in seen.iter().zip(there) {
        assert_eq!(seen, there, "a reader of {query:?} saw another event than is there at the end");
    }
    assert_eq!(seen.len(), there.len(), "a reader of {query:?} saw more or fewer events than are there at the end");
}

/// Appends to a stream of its own and to one that all write to; some appends are guarded, and some of those are refused.
async fn write(store: AnyStore, number: usize) {
    let own = format!("schedule-{number}");
    for turn in 0..APPENDS {
        let given: Vec<NewEvent> = match turn % 3 {
            0 => vec![tagged(&own, &["of:x"])],
            1 => vec![event(&own), tagged("schedule-all", &["of:x"]), event(&own)],
            _ => vec![event("schedule-all")],
        };
        let append = Append::new(given);
        let guess = Expected::Exact(Version::new(turn as u64));
        let append = if turn % 4 == 3 { append.expect(stream("schedule-all"), guess) } else { append };
        match store.append(append).await {
            Ok(appended) => {
                let head = head(&store).await;
                assert!(appended.positions.through <= head, "an append at {:?} is answered at head {head}", appended.positions);
            }
            Err(AppendError::Conflict(_)) => {}
            Err(other) => panic!("an append is refused: {other:?}"),
        }
        tokio::task::yield_now().await;
    }
}

/// Follows by a subscription, checking that a query for everything skips no position.
async fn follow(store: AnyStore, Read { query, limit, .. }: Read, token: CancellationToken) -> Seen {
    let mut subscription = Subscription::new(store, query.clone(), Position::START, token).batch_limit(limit);
    let mut events: Vec<RecordedEvent> = Vec::new();
    while let Some(batch) = subscription.next().await.expect("a store can be read") {
        events.extend(batch.events);
        check_no_gap(&events, &query, batch.checkpoint);
    }
    Seen { query, events, through: subscription.checkpoint() }
}

/// Polls, page by page, by where each page says that it looked.
async fn turn_pages(store: AnyStore, mut read: Read, done: Arc<AtomicBool>) -> Seen {
    let mut seen = Seen { query: read.query.clone(), events: Vec::new(), through: Position::START };
    let mut head = Position::START;
    loop {
        let last_turn = done.load(Ordering::Acquire);
        read.range = Range::after(seen.through);
        let page = store.read(read.clone()).await.expect("a store can be read");
        check_page(&read, &page);
        assert!(head <= page.head, "the head goes back, from {head} to {}", page.head);
        head = page.head;
        seen.through = page.through(read.range);
        let at_end = page.rest.is_none();
        seen.events.extend(page.events);
        check_no_gap(&seen.events, &read.query, seen.through);
        if last_turn && at_end {
            return seen;
        }
        tokio::task::yield_now().await;
    }
}

/// A reader of everything that was told "up to here" has as many events as positions.
fn check_no_gap(events: &[RecordedEvent], query: &Query, through: Position) {
    let everything = *query == Query::all();
    assert!(!everything || events.len() as u64 == through.get(), "up to {through} a reader saw {} events", events.len());
}

pub(super) async fn long_appends_are_not_overtaken_by_short_ones(bench: &Bench<'_>) {
    let store = bench.store().await;
    let done = Arc::new(AtomicBool::new(false));
    let mut readers = JoinSet::new();
    let begun = Arc::new(Barrier::new(3));
    for query in [Query::all(), with_tags(&["of:x"])] {
        readers.spawn(begin(&begun, turn_pages(store.clone(), Read::new(query), Arc::clone(&done))));
    }
    begun.wait().await;
    for round in 0..ROUNDS {
        // What takes its positions early and becomes visible late is overtaken by what does both in between.
        let mut long = events(&format!("long-{round}"), LONG);
        long[0] = tagged(&format!("long-{round}"), &["of:x"]);
        let short = |number: usize| Append::new(vec![tagged(&format!("short-{number}"), &["of:x"])]);
        let answers = race_appends(&store, [Append::new(long)].into_iter().chain((0..4).map(short))).await;
        answers.into_iter().for_each(|answer| assert!(answer.is_ok(), "{answer:?}"));
    }
    done.store(true, Ordering::Release);
    let all = everything(&store).await;
    assert_eq!(all.len(), ROUNDS * (LONG + 4), "positions have a gap");
    while let Some(reader) = bench.soon("a reader by pages", readers.join_next()).await {
        let Seen { query, events, .. } = joined(reader);
        let there: Vec<_> = all.iter().filter(|event| query.selects(event)).cloned().collect();
        compare(&events, &there, &query);
    }
    for pair in all.windows(2).filter(|pair| pair[0].stream == pair[1].stream) {
        assert_eq!(pair[0].version.next(), pair[1].version, "events of one append do not stand together");
    }
}

pub(super) async fn what_a_reader_saw_never_changes(bench: &Bench<'_>) {
    let store = bench.store().await;
    let mut seen = Vec::new();
    for turn in 0..30_usize {
        let own = format!("schedule-{}", turn % 4);
        super::builders::record(&store, vec![event(&own), tagged("schedule-all", &["of:x"])]).await;
        let stale = Append::new(events(&own, 1)).expect(stream(&own), Expected::NO_STREAM);
        super::builders::refuse(&store, stale).await;
        bench.clock.advance(std::time::Duration::from_millis(1));
        let now = everything(&store).await;
        compare(&seen, &now[..seen.len()], &Query::all());
        seen = now;
    }
}
