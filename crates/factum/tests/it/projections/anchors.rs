//! Two logs beside one database: what is made from one is never mixed with the other.

use factum::{Activity, Append, Log, MemoryStore, NewEvent, Payload, Running, StartError, Store};

use super::bank::{Bank, PATIENCE, World, expected, until};

/// Another log, with the same database.
fn beside(world: &World) -> World {
    World { db: world.db.clone(), ..World::new() }
}

fn unavailable<const VERSION: u32, const PARTITIONS: u32>(running: &Running<Bank<VERSION, PARTITIONS>>) -> Option<String> {
    running.status().partitions.iter().find_map(|partition| match &partition.activity {
        Activity::Unavailable(why) => Some(why.clone()),
        _ => None,
    })
}

#[tokio::test]
async fn a_projection_is_not_started_on_another_log_in_any_version() {
    let world = World::new();
    let head = world.deposit(&["a", "b"]).await;
    world.start(Bank::<1>::default()).await.wait_for(head, PATIENCE).await.unwrap();
    let other = beside(&world);
    other.deposit(&["a", "a", "a"]).await;
    let same = other.log.project(Bank::<1>::default(), other.db.clone()).start(&other.shutdown).await.err();
    assert!(matches!(same, Some(StartError::AnotherLog { .. })), "{same:?}");
    let next = other.log.project(Bank::<2>::default(), other.db.clone()).start(&other.shutdown).await.err();
    assert!(matches!(next, Some(StartError::AnotherLog { .. })), "{next:?}");
    assert!(next.unwrap().to_string().contains("a name of its own for each log"));
    assert_eq!(world.live(), expected(&world.log).await);
}

#[tokio::test]
async fn of_two_logs_without_events_the_one_that_has_some_first_fills_the_tables_and_the_other_says_so() {
    let world = World::new();
    let other = beside(&world);
    let running = world.start(Bank::<1, 2>::default()).await;
    let second = other.start(Bank::<1, 2>::default()).await;
    let head = world.deposit(&["a", "b", "c", "d", "e"]).await;
    let _ = running.wait_for(head, std::time::Duration::from_millis(50)).await;
    other.deposit(&["a", "b", "c", "d", "e", "f", "g"]).await;
    let is_refused = |running| unavailable(running).is_some_and(|why| why.contains("another log"));
    until("a refusal", async || is_refused(&running) || is_refused(&second)).await;
    // Which of them is a matter of who holds the leases; the other goes on alone.
    let (own, refused) = if is_refused(&running) { (&other, &world) } else { (&world, &other) };
    refused.shutdown.cancel();
    until("the tables of one log", async || own.live() == expected(&own.log).await).await;
}

#[tokio::test]
async fn a_log_that_is_emptier_than_the_projections_own_is_waited_for_and_not_read() {
    let world = World::new();
    let head = world.deposit(&["a", "b"]).await;
    world.start(Bank::<1>::default()).await.wait_for(head, PATIENCE).await.unwrap();
    world.shutdown.cancel();
    let other = beside(&world);
    let running = other.start(Bank::<1>::default()).await;
    until("a wait", async || unavailable(&running).is_some_and(|why| why.contains("ends before position 1"))).await;
    other.deposit(&["x", "x", "x"]).await;
    until("a refusal", async || unavailable(&running).is_some_and(|why| why.contains("another log"))).await;
    assert_eq!(world.live(), expected(&world.log).await);
}

#[tokio::test]
async fn a_projection_goes_on_with_a_copy_of_its_log() {
    let world = World::new();
    let deposit =
        |account: &str| NewEvent::new(account.parse().unwrap(), "AccountDeposited", Payload::json(r#"{"cents":10}"#)).unwrap();
    let (events, copy) = (vec![deposit("account-a"), deposit("account-b")], MemoryStore::new());
    let head = world.log.store().append(Append::new(events.clone())).await.unwrap().positions.through;
    copy.append(Append::new(events)).await.unwrap();
    world.start(Bank::<1>::default()).await.wait_for(head, PATIENCE).await.unwrap();
    world.shutdown.cancel();

    let moved = World { log: Log::new(copy), ..beside(&world) };
    let running = moved.start(Bank::<1>::default()).await;
    let head = moved.deposit(&["a"]).await;
    running.wait_for(head, PATIENCE).await.unwrap();
    assert_eq!(moved.live(), expected(&moved.log).await);
}
