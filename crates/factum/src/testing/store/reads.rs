//! Reads: pages of a range, either way, that add up to the whole.

use bytes::Bytes;

use super::bench::Bench;
use super::builders::{event, events, everything, pages, range, read_all, record, select, tagged, with_tags};
use crate::limits::{PAGE_BYTES, PAGE_EVENTS_MAX};
use crate::{AnyStore, Direction, NewEvent, Payload, Position, Query, Range, Read, RecordedEvent, Store};

/// How many events most of these rules read.
const EVENTS: usize = 24;

/// Events of which every third is tagged.
async fn fill(store: &AnyStore) {
    for number in 0..EVENTS {
        let tags: &[&str] = if number % 3 == 0 { &["of:x"] } else { &[] };
        record(store, vec![tagged(&format!("read-{}", number % 4), tags)]).await;
    }
}

pub(super) async fn backward_is_forward_reversed(bench: &Bench<'_>) {
    let store = bench.store().await;
    fill(&store).await;
    for query in [Query::all(), with_tags(&["of:x"]), Query::stream(super::builders::stream("read-1"))] {
        let mut backward = read_all(&store, Read::new(query.clone()).backward()).await;
        backward.reverse();
        assert_eq!(backward, select(&store, query).await, "backward is not forward reversed");
    }
    let last = read_all(&store, Read::new(Query::all()).backward().limit(1).range(range(EVENTS as u64 - 1, u64::MAX))).await;
    assert_eq!(last.len(), 1, "the last event is not read backward");
}

pub(super) async fn pages_of_every_size_add_up_to_the_whole(bench: &Bench<'_>) {
    let store = bench.store().await;
    fill(&store).await;
    let all = everything(&store).await;
    assert_eq!(all.len(), EVENTS);
    for query in [Query::all(), with_tags(&["of:x"])] {
        for direction in [Direction::Forward, Direction::Backward] {
            for range in [Range::ALL, range(3, 17), range(0, 12), range(12, 400)] {
                let whole = expected(&all, &query, range, direction);
                for limit in 1..=EVENTS + 1 {
                    let read = Read { query: query.clone(), range, direction, limit };
                    assert_eq!(read_all(&store, read).await, whole, "{direction:?} in pages of {limit}, {range:?}");
                }
            }
        }
    }
}

/// What a read of these events should return.
fn expected(all: &[RecordedEvent], query: &Query, range: Range, direction: Direction) -> Vec<RecordedEvent> {
    let selected = all.iter().filter(|event| range.contains(event.position) && query.selects(event)).cloned();
    match direction {
        Direction::Forward => selected.collect(),
        Direction::Backward => selected.rev().collect(),
    }
}

pub(super) async fn a_range_begins_after_its_first_position_and_ends_with_its_last(bench: &Bench<'_>) {
    let store = bench.store().await;
    let end = 8;
    record(&store, events("read-a", end)).await;
    let end = end as u64;
    for after in (0..=end + 1).chain([u64::MAX]) {
        for through in (0..=end + 1).chain([u64::MAX]) {
            let forward: Vec<u64> = (1..=end).filter(|position| after < *position && *position <= through).collect();
            let backward: Vec<u64> = forward.iter().rev().copied().collect();
            let read = Read::new(Query::all()).range(range(after, through));
            for (read, expected) in [(read.clone(), forward), (read.backward(), backward)] {
                let found: Vec<u64> = read_all(&store, read).await.iter().map(|event| event.position.get()).collect();
                assert_eq!(found, expected, "after {after} through {through}");
            }
        }
    }
}

pub(super) async fn the_rest_of_a_read_goes_on_while_the_head_moves(bench: &Bench<'_>) {
    let store = bench.store().await;
    record(&store, events("read-a", 6)).await;
    let mut forward = Some(Read::new(Query::all()).limit(2));
    let mut backward = Some(Read::new(Query::all()).limit(2).backward());
    let (mut rising, mut falling) = (Vec::new(), Vec::new());
    for turn in 0.. {
        if turn < 4 {
            record(&store, events("read-a", 1)).await;
        }
        rising.extend(turn_page(&store, &mut forward).await);
        falling.extend(turn_page(&store, &mut backward).await);
        if forward.is_none() && backward.is_none() {
            break;
        }
    }
    assert_eq!(rising, (1..=10).collect::<Vec<u64>>(), "forward, what is recorded meanwhile is read too");
    // The first page backward was read when there were seven.
    assert_eq!(falling, (1..=7).rev().collect::<Vec<u64>>(), "backward, what is recorded meanwhile is above the rest");
}

/// The positions of the next page, if there is a read left.
async fn turn_page(store: &AnyStore, read: &mut Option<Read>) -> Vec<u64> {
    let Some(current) = read.take() else { return Vec::new() };
    let page = store.read(current.clone()).await.expect("a store can be read");
    *read = page.rest.map(|rest| current.range(rest));
    page.events.iter().map(|event| event.position.get()).collect()
}

pub(super) async fn a_page_tells_how_far_it_looked(bench: &Bench<'_>) {
    let store = bench.store().await;
    fill(&store).await;
    let end = Position::new(EVENTS as u64);
    for query in [Query::all(), with_tags(&["of:x"]), with_tags(&["of:nobody"]), Query::none()] {
        for limit in [1, 3, EVENTS] {
            let mut read = Read::new(query.clone()).limit(limit);
            for page in pages(&store, read.clone()).await {
                assert_eq!(page.head, end, "nobody appends, and the head is another");
                let through = page.through(read.range);
                let looked_at = Range { after: read.range.after, through };
                let there = select(&store, query.clone()).await.into_iter().filter(|event| looked_at.contains(event.position));
                assert!(there.eq(page.events), "a page says that it looked through {through} and does not have all of that");
                read.range.after = through;
            }
            assert_eq!(read.range.after, end, "at the end of a read everything was looked at");
        }
    }
    let beyond = store.read(Read::new(Query::all()).range(Range::after(end))).await.expect("a store can be read");
    assert_eq!((beyond.events.len(), beyond.rest, beyond.head), (0, None, end));
}

pub(super) async fn a_page_is_bounded_in_bytes(bench: &Bench<'_>) {
    let store = bench.store().await;
    let data = Bytes::from(vec![b' '; PAGE_BYTES / 4 * 3]);
    let large = |_| NewEvent { payload: Payload::json(data.clone()), ..event("read-a") };
    record(&store, (0..5).map(large).chain(events("read-a", 3)).collect()).await;
    for read in [Read::new(Query::all()), Read::new(Query::all()).backward()] {
        let pages = pages(&store, read).await;
        assert!(1 < pages.len(), "{} MiB come in one page", (5 * data.len()) >> 20);
        assert_eq!(pages.iter().map(|page| page.events.len()).sum::<usize>(), 8, "pages that are cut by bytes lose events");
        assert!(pages.iter().all(|page| !page.events.is_empty()), "a page that is cut by bytes has no event");
    }
    let larger = NewEvent { payload: Payload::json(vec![b' '; PAGE_BYTES + 1]), ..event("read-a") };
    record(&store, vec![larger.clone()]).await;
    let found = read_all(&store, Read::new(Query::all()).range(Range::after(Position::new(8)))).await;
    assert!(found.iter().map(|event| event.id).eq([larger.id]), "an event larger than a page is not returned");
}

pub(super) async fn a_limit_out_of_bounds_is_taken_for_the_nearest(bench: &Bench<'_>) {
    let store = bench.store().await;
    record(&store, events("read-a", PAGE_EVENTS_MAX)).await;
    record(&store, events("read-a", 2)).await;
    let end = Range::after(Position::new(PAGE_EVENTS_MAX as u64));
    let one_by_one = pages(&store, Read::new(Query::all()).limit(0).range(end)).await;
    assert_eq!(one_by_one.iter().map(|page| page.events.len()).sum::<usize>(), 2, "pages of at least one add up");
    let most = pages(&store, Read::new(Query::all()).limit(usize::MAX)).await;
    assert!(1 < most.len(), "a page has more than {PAGE_EVENTS_MAX} events");
    assert_eq!(most.iter().map(|page| page.events.len()).sum::<usize>(), PAGE_EVENTS_MAX + 2);
}
