//! Consumer groups: each event is answered for, by somebody, at least once.

mod kills;
mod random;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use factum::{
    Append, Backoff, Delivery, GroupError, GroupSettings, Log, Member, MemoryStore, NewEvent, Payload, Position, Query, Selector,
};
use tokio_util::sync::CancellationToken;

const SOON: Duration = Duration::from_millis(1);
const THRICE: Backoff = Backoff { first: SOON, longest: SOON, tries: 3 };
const PATIENCE: Duration = Duration::from_secs(20);

fn log() -> Log {
    Log::new(MemoryStore::new())
}

/// Events of these streams, in this order.
async fn happen(log: &Log, streams: &[&str]) {
    for stream in streams {
        let event = NewEvent::new(stream.parse().unwrap(), "Happened", Payload::json("{}")).unwrap();
        log.append(Append::new(vec![event])).await.unwrap();
    }
}

fn settings() -> GroupSettings {
    GroupSettings::new(Query::all()).backoff(THRICE).partitions(8)
}

async fn next(member: &mut Member) -> Delivery {
    tokio::time::timeout(PATIENCE, member.next()).await.expect("an event comes").unwrap().unwrap()
}

/// Where the event is, how often it was delivered, and whether it had been parked.
fn told(delivery: &Delivery) -> (u64, u32, bool) {
    (delivery.event.position.get(), delivery.attempt, delivery.replayed)
}

/// That nothing is handed out for now.
async fn nothing(member: &mut Member) {
    let none = tokio::time::timeout(Duration::from_millis(50), member.next()).await;
    assert!(none.is_err(), "{none:?}");
}

#[tokio::test]
async fn a_group_is_created_once_and_with_its_settings() {
    let log = log();
    let group = log.group("mailer").unwrap();
    assert!(matches!(group.status().await, Err(GroupError::NotFound(_))));
    group.create(settings()).await.unwrap();
    group.create(settings()).await.unwrap();
    assert!(matches!(group.create(settings().partitions(9)).await, Err(GroupError::Exists(_))));
    assert_eq!(group.status().await.unwrap().settings, settings());
    assert_eq!(log.groups().await.unwrap().len(), 1);
    group.remove().await.unwrap();
    assert_eq!(log.groups().await.unwrap().len(), 0);
}

#[tokio::test]
async fn a_stream_is_delivered_in_order_and_others_go_on() {
    let log = log();
    happen(&log, &["a", "a", "b"]).await;
    let group = log.group("mailer").unwrap();
    group.create(settings()).await.unwrap();
    let mut member = group.join("one", CancellationToken::new()).await.unwrap();
    let first = next(&mut member).await;
    assert_eq!(told(&first), (1, 1, false));
    let other = next(&mut member).await;
    assert_eq!(told(&other), (3, 1, false));
    nothing(&mut member).await;
    member.ack(&first).await.unwrap();
    let second = next(&mut member).await;
    assert_eq!(told(&second), (2, 1, false));
}

#[tokio::test]
async fn the_checkpoint_is_the_lowest_that_is_not_answered_for_and_is_where_the_next_member_begins() {
    let log = log();
    happen(&log, &["a", "a", "a"]).await;
    let group = log.group("mailer").unwrap();
    group.create(settings().partitions(1)).await.unwrap();
    let mut member = group.join("one", CancellationToken::new()).await.unwrap();
    let first = next(&mut member).await;
    member.ack(&first).await.unwrap();
    let _second = next(&mut member).await;
    member.leave().await.unwrap();
    assert_eq!(group.status().await.unwrap().checkpoint(), Position::new(1));
    let mut member = group.join("two", CancellationToken::new()).await.unwrap();
    assert_eq!(told(&next(&mut member).await), (2, 1, false));
}

#[tokio::test]
async fn an_event_is_tried_again_and_then_parked_and_its_stream_waits_behind_it() {
    let log = log();
    happen(&log, &["a", "a", "b"]).await;
    let group = log.group("mailer").unwrap();
    group.create(settings()).await.unwrap();
    let mut member = group.join("one", CancellationToken::new()).await.unwrap();
    let mut delivered = Vec::new();
    for _ in 0..4 {
        let delivery = next(&mut member).await;
        delivered.push(told(&delivery));
        match delivery.event.stream.as_str() {
            "a" => member.retry(&delivery, "the mailbox is full").await.unwrap(),
            _ => member.ack(&delivery).await.unwrap(),
        }
    }
    delivered.sort_unstable();
    assert_eq!(delivered, [(1, 1, false), (1, 2, false), (1, 3, false), (3, 1, false)]);
    nothing(&mut member).await;
    let parked = group.status().await.unwrap().parked;
    let parked: Vec<_> = parked.iter().map(|parked| (parked.position.get(), parked.tries, parked.error.as_str())).collect();
    assert_eq!(parked, [(1, 3, "the mailbox is full"), (2, 0, "")]);

    group.replay(None).await.unwrap();
    for position in [1, 2] {
        let again = next(&mut member).await;
        assert_eq!(told(&again), (position, 1, true));
        member.ack(&again).await.unwrap();
    }
    nothing(&mut member).await;
    assert_eq!(group.status().await.unwrap().parked, []);
}

#[tokio::test]
async fn a_replayed_event_that_fails_is_parked_again_and_a_discarded_one_is_gone() {
    let log = log();
    happen(&log, &["a", "b"]).await;
    let group = log.group("mailer").unwrap();
    group.create(settings()).await.unwrap();
    let mut member = group.join("one", CancellationToken::new()).await.unwrap();
    for _ in 0..2 {
        let delivery = next(&mut member).await;
        member.park(&delivery, "no").await.unwrap();
    }
    group.replay(Some(Position::new(1))).await.unwrap();
    let again = next(&mut member).await;
    member.retry(&again, "still no").await.unwrap();
    group.discard(Position::new(2)).await.unwrap();
    let parked = group.status().await.unwrap().parked;
    assert_eq!(parked.iter().map(|parked| (parked.position.get(), parked.tries)).collect::<Vec<_>>(), [(1, 2)]);
    assert!(matches!(group.replay(Some(Position::new(2))).await, Err(GroupError::NotParked { .. })));
    nothing(&mut member).await;
}

#[tokio::test]
async fn members_share_the_partitions_and_every_event_is_one_members() {
    let log = log();
    let streams: Vec<String> = (0..60).map(|n| format!("s-{n}")).collect();
    let streams: Vec<&str> = streams.iter().map(String::as_str).collect();
    happen(&log, &streams).await;
    let group = log.group("mailer").unwrap();
    group.create(settings()).await.unwrap();
    let mut one = group.join("one", CancellationToken::new()).await.unwrap();
    let mut two = group.join("two", CancellationToken::new()).await.unwrap();
    // The first learns of the second when it looks.
    tokio::time::sleep(Duration::from_millis(600)).await;
    let one = drain(&mut one).await;
    let two = drain(&mut two).await;
    assert!(one.is_disjoint(&two) && !one.is_empty() && !two.is_empty());
    assert_eq!(one.union(&two).count(), 60);
    let members = group.status().await.unwrap().members;
    assert_eq!(members.iter().map(|(_, partitions)| partitions.len()).collect::<Vec<_>>(), [4, 4]);
}

/// Acknowledges all that there is.
async fn drain(member: &mut Member) -> BTreeSet<u64> {
    let mut seen = BTreeSet::new();
    while let Ok(delivery) = tokio::time::timeout(Duration::from_millis(100), member.next()).await {
        let delivery = delivery.unwrap().unwrap();
        assert!(seen.insert(delivery.event.position.get()), "{:?} twice", delivery.event.position);
        member.ack(&delivery).await.unwrap();
    }
    seen
}

#[tokio::test]
async fn a_member_that_dies_gives_its_work_back_and_marks_nothing_when_it_wakes_up() {
    let log = log();
    happen(&log, &["a", "b", "c", "d"]).await;
    let group = log.group("mailer").unwrap();
    group.create(settings().member_timeout(Duration::from_millis(150))).await.unwrap();
    let mut dead = group.join("dead", CancellationToken::new()).await.unwrap();
    let in_hand = next(&mut dead).await;
    let mut alive = group.join("alive", CancellationToken::new()).await.unwrap();
    let mut seen = BTreeSet::new();
    while seen.len() < 4 {
        let delivery = next(&mut alive).await;
        seen.insert(delivery.event.position.get());
        if delivery.event.position != in_hand.event.position {
            alive.ack(&delivery).await.unwrap();
        }
    }
    assert_eq!(group.status().await.unwrap().members.len(), 1, "the dead one has left");
    // It wakes up, answers for what it had, and says so: but it is not its own any more.
    dead.ack(&in_hand).await.unwrap();
    dead.leave().await.unwrap();
    alive.leave().await.unwrap();
    let partition = group.status().await.unwrap();
    assert!(partition.checkpoint() < in_hand.event.position, "{partition:?}");
}

#[tokio::test]
async fn a_reset_delivers_everything_again_and_forgets_what_is_parked() {
    let log = log();
    happen(&log, &["a", "b"]).await;
    let group = log.group("mailer").unwrap();
    group.create(settings()).await.unwrap();
    let mut member = group.join("one", CancellationToken::new()).await.unwrap();
    let parked = next(&mut member).await;
    member.park(&parked, "no").await.unwrap();
    assert_eq!(drain(&mut member).await.len(), 1);
    group.reset(Position::START).await.unwrap();
    tokio::time::sleep(Duration::from_millis(600)).await;
    assert_eq!(drain(&mut member).await, BTreeSet::from([1, 2]));
    assert_eq!(group.status().await.unwrap().parked, []);
}

#[tokio::test]
async fn a_group_of_everything_leaves_the_systems_own_streams_out_and_writes_no_events_when_idle() {
    let log = log();
    happen(&log, &["a", "$settings", "b"]).await;
    let group = log.group("mailer").unwrap();
    group.create(settings()).await.unwrap();
    let mut member = group.join("one", CancellationToken::new()).await.unwrap();
    assert_eq!(drain(&mut member).await, BTreeSet::from([1, 3]));
    let head = log.head().await.unwrap();
    tokio::time::sleep(Duration::from_millis(700)).await;
    nothing(&mut member).await;
    assert_eq!(log.head().await.unwrap(), head);

    let of_settings = log.group("settings").unwrap();
    let query = Query::from(Selector::category("$settings".parse().unwrap()));
    of_settings.create(GroupSettings::new(query)).await.unwrap();
    let mut member = of_settings.join("one", CancellationToken::new()).await.unwrap();
    assert_eq!(drain(&mut member).await, BTreeSet::from([2]));
}

#[tokio::test(flavor = "multi_thread")]
async fn handlers_run_in_parallel_and_a_panic_is_a_failure() {
    let log = log();
    happen(&log, &["a", "b", "a", "c", "b", "a"]).await;
    let group = log.group("mailer").unwrap();
    group.create(settings()).await.unwrap();
    let (handled, shutdown) = (Arc::new(Mutex::new(BTreeMap::<String, Vec<u64>>::new())), CancellationToken::new());
    let (seen, end) = (handled.clone(), shutdown.clone());
    let handler = move |delivery: Delivery| {
        let (seen, end) = (seen.clone(), end.clone());
        async move {
            assert!(delivery.event.position != Position::new(4), "the fourth");
            let mut seen = seen.lock().unwrap();
            seen.entry(delivery.event.stream.to_string()).or_default().push(delivery.event.position.get());
            if seen.values().map(Vec::len).sum::<usize>() == 5 {
                end.cancel();
            }
            Ok(())
        }
    };
    tokio::time::timeout(PATIENCE, group.run("one", 4, handler, shutdown)).await.unwrap().unwrap();
    let expected = [("a", vec![1, 3, 6]), ("b", vec![2, 5])].map(|(stream, events)| (stream.to_owned(), events));
    assert_eq!(*handled.lock().unwrap(), BTreeMap::from(expected));
    assert_eq!(group.status().await.unwrap().members, []);
}
