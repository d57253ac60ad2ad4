//! Outboxes: events are handed to something outside.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

use factum::{
    Activity, Backoff, Clock, HandlerError, LEASE, MemoryStore, OnFailure, Outbox, Publish, RecordedEvent, Timestamp, Unavailable,
};
use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::bank::{Db, PATIENCE, World, name, until};

/// The database's clock goes as the test's does.
struct PausedClock(Instant);

impl Clock for PausedClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(0).later(self.0.elapsed())
    }
}

/// A target that takes an event for each permit, and waits for more.
#[derive(Clone)]
struct Slow {
    permits: Arc<Semaphore>,
    taken: Arc<Mutex<Vec<u64>>>,
}

impl Slow {
    fn new(permits: usize) -> Self {
        Self { permits: Arc::new(Semaphore::new(permits)), taken: Arc::default() }
    }

    fn taken(&self) -> Vec<u64> {
        self.taken.lock().unwrap().clone()
    }
}

impl Publish for Slow {
    fn name(&self) -> std::borrow::Cow<'_, str> {
        "slow".into()
    }

    async fn publish(&self, event: &RecordedEvent) -> Result<(), HandlerError> {
        self.permits.acquire().await?.forget();
        self.taken.lock().unwrap().push(event.position.get());
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn a_target_that_takes_longer_than_a_lease_is_waited_for_and_nobody_takes_over() {
    let db = Db::with_clock(PausedClock(Instant::now()));
    let world = World { log: factum::Log::new(MemoryStore::new()), db, shutdown: Default::default() };
    let head = world.deposit(&["a", "b"]).await;
    let slow = Slow::new(0);
    let first = world.start(Outbox::new(slow.clone())).await;
    let model = name("slow@1");
    until("its lease", async || first.read_models().get(&model).await.unwrap().partitions[0].lease.is_some()).await;
    let other = Slow::new(2);
    let second = world.start(Outbox::new(other.clone())).await;
    tokio::time::sleep(LEASE * 5).await;
    assert_eq!(second.status().partitions[0].activity, Activity::Standby);

    slow.permits.add_permits(2);
    first.wait_for(head, PATIENCE).await.unwrap();
    assert_eq!((slow.taken(), other.taken()), (vec![1, 2], vec![]));
}

/// A target that is away at every call whose number this says, counted from 1.
struct Away<const VERSION: u32>(fn(u32) -> bool, AtomicU32, Slow);

impl<const VERSION: u32> Publish for Away<VERSION> {
    const VERSION: u32 = VERSION;

    fn name(&self) -> std::borrow::Cow<'_, str> {
        "away".into()
    }

    async fn publish(&self, event: &RecordedEvent) -> Result<(), HandlerError> {
        match self.0(self.1.fetch_add(1, Relaxed) + 1) {
            true => Err(Unavailable::new("nobody is there").into()),
            false => self.2.publish(event).await,
        }
    }
}

/// Hands six events to a target that is away now and then: each gets there once, and none is parked.
async fn check_away<const VERSION: u32>(world: &World, batch: usize, is_away: fn(u32) -> bool) {
    let head = world.deposit(&["a", "b", "a", "b", "c", "c"]).await;
    let slow = Slow::new(6);
    let away = Away::<VERSION>(is_away, AtomicU32::new(0), slow.clone());
    let runner = world.log.project(Outbox::new(away), world.db.clone()).on_failure(OnFailure::Park(Backoff::NEVER));
    let running = runner.batch(batch).start(&world.shutdown).await.unwrap();
    let unavailable = Activity::Unavailable("nobody is there".into());
    until("a try in vain", async || running.status().partitions.iter().any(|part| part.activity == unavailable)).await;
    running.wait_for(head, PATIENCE).await.unwrap();
    until("the last event", async || slow.taken().len() == 6).await;
    assert_eq!(slow.taken(), [1, 2, 3, 4, 5, 6]);
    assert_eq!(running.read_models().parked(&name(&format!("away@{VERSION}"))).await.unwrap(), []);
}

#[tokio::test(start_paused = true)]
async fn a_target_that_is_away_is_tried_again_until_it_is_back_and_nothing_is_parked() {
    check_away::<1>(&World::new(), 6, |call| call <= 9).await;
}

#[tokio::test(start_paused = true)]
async fn what_was_handed_on_before_the_target_went_away_is_not_handed_on_again() {
    check_away::<1>(&World::new(), 6, |call| call % 2 == 1).await;
}

#[tokio::test(start_paused = true)]
async fn a_new_version_hands_on_what_the_old_one_left_and_nothing_again_after_the_target_was_away() {
    let world = World::new();
    let old = world.start(Outbox::new(Away::<1>(|_| false, AtomicU32::new(0), Slow::new(0)))).await;
    world.shutdown.cancel();
    old.ended().await;
    check_away::<2>(&World { shutdown: Default::default(), ..world }, 3, |call| call % 2 == 1).await;
}

#[tokio::test(start_paused = true)]
async fn after_a_swap_the_new_version_hands_on_and_the_old_one_does_not() {
    let world = World::new();
    let (old, new) = (Slow::new(9), Slow::new(9));
    let first = world.start(Outbox::new(Away::<1>(|_| false, AtomicU32::new(0), old.clone()))).await;
    let head = world.deposit(&["a"]).await;
    first.wait_for(head, PATIENCE).await.unwrap();
    let second = world.start(Outbox::new(Away::<2>(|_| false, AtomicU32::new(0), new.clone()))).await;
    until("the swap", async || second.read_models().live("away").await.unwrap() == Some(name("away@2"))).await;
    let head = world.deposit(&["a", "b"]).await;
    second.wait_for(head, PATIENCE).await.unwrap();
    until("the effects", async || new.taken().len() == 2).await;
    tokio::time::sleep(LEASE).await;
    assert_eq!((old.taken(), new.taken()), (vec![1], vec![2, 3]));
}

/// A target in two parts that hangs at the events of a stream.
struct Hanging<const VERSION: u32>(&'static str, Slow);

impl<const VERSION: u32> Publish for Hanging<VERSION> {
    const VERSION: u32 = VERSION;
    const PARTITIONS: u32 = 2;

    fn name(&self) -> std::borrow::Cow<'_, str> {
        "hanging".into()
    }

    async fn publish(&self, event: &RecordedEvent) -> Result<(), HandlerError> {
        if event.stream.as_str() == self.0 {
            std::future::pending::<()>().await;
        }
        self.1.publish(event).await
    }
}

#[tokio::test(start_paused = true)]
async fn what_one_part_handed_on_is_not_handed_on_again_for_the_sake_of_another() {
    let world = World::new();
    let head = world.deposit(&["a", "b", "c", "d", "e", "f"]).await;
    let (old, new) = (Slow::new(9), Slow::new(9));
    let first = world.start(Outbox::new(Hanging::<1>("account-a", old.clone()))).await;
    let whole = async || first.status().partitions.iter().any(|part| part.checkpoint == head);
    until("one part at the head", whole).await;
    world.shutdown.cancel();
    first.ended().await;

    let world = World { shutdown: Default::default(), ..world };
    let _second = world.start(Outbox::new(Hanging::<2>("", new.clone()))).await;
    until("the rest", async || 6 <= old.taken().len() + new.taken().len()).await;
    tokio::time::sleep(LEASE).await;
    let mut all = [old.taken(), new.taken()].concat();
    all.sort_unstable();
    assert_eq!(all, [1, 2, 3, 4, 5, 6]);
    assert!(!old.taken().is_empty() && new.taken().contains(&1), "{:?} {:?}", old.taken(), new.taken());
}
