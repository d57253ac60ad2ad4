//! Leases: of two who run one projection, one applies.

use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use factum::testing::ManualClock;
use factum::{Activity, MemoryStore, Position};

use super::bank::{Bank, Db, Hooks, PATIENCE, World, expected, until};

/// A door that a projection waits at.
#[derive(Default)]
struct Door(Mutex<(bool, bool)>, Condvar);

impl Door {
    fn wait(&self) {
        let mut state = self.0.lock().unwrap();
        state.0 = true;
        self.1.notify_all();
        while !state.1 {
            state = self.1.wait(state).unwrap();
        }
    }

    fn is_waited_at(&self) -> bool {
        self.0.lock().unwrap().0
    }

    fn open(&self) {
        self.0.lock().unwrap().1 = true;
        self.1.notify_all();
    }
}

#[tokio::test]
async fn a_second_runner_stands_by_and_takes_over_when_the_first_ends() {
    let world = World::new();
    let first = world.start(Bank::<1>::default()).await;
    let head = world.deposit(&["a"]).await;
    first.wait_for(head, PATIENCE).await.unwrap();
    let other = World { log: world.log.clone(), db: world.db.clone(), shutdown: Default::default() };
    let second = other.start(Bank::<1>::default()).await;
    until("the standby", async || second.status().partitions.iter().any(|p| p.activity == Activity::Standby)).await;
    world.shutdown.cancel();
    first.ended().await;
    let head = world.deposit(&["b"]).await;
    second.wait_for(head, PATIENCE).await.unwrap();
    assert_eq!(other.live(), expected(&world.log).await);
}

/// A holder is held inside `deliver`, out of any transaction, until its lease is over and another has gone on.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_holder_that_was_paused_past_its_lease_applies_nothing_after_another_took_over() {
    let clock = ManualClock::new("2026-11-23T09:30:00Z".parse().unwrap());
    let db = Db::with_clock(clock.clone());
    let world = World { log: factum::Log::new(MemoryStore::new()), db, shutdown: Default::default() };
    let head = world.deposit(&["a", "b", "a"]).await;

    let door = Arc::new(Door::default());
    let at_door = door.clone();
    let wait = move |_: &_| {
        at_door.wait();
        Ok(())
    };
    let held = Hooks { deliver: Some(Arc::new(wait)), ..Hooks::default() };
    let held_calls = held.clone();
    let first = world.start(Bank::<1, 1, true>(held)).await;
    until("the first at the door", async || door.is_waited_at()).await;

    let other = World { log: world.log.clone(), db: world.db.clone(), shutdown: Default::default() };
    let second = other.start(Bank::<1, 1, true>::default()).await;
    until("the standby", async || second.status().partitions.iter().any(|p| p.activity == Activity::Standby)).await;
    assert_eq!(world.live().applied.len(), 0);
    clock.advance(factum::LEASE + Duration::from_secs(1));
    second.wait_for(head, PATIENCE).await.unwrap();

    door.open();
    let head = world.deposit(&["b"]).await;
    second.wait_for(head, PATIENCE).await.unwrap();
    until("the first standing by", async || first.status().partitions.iter().any(|p| p.activity == Activity::Standby)).await;
    assert_eq!(world.live(), expected(&world.log).await);
    // The negative control of this test: it did get through the door, and into its transaction.
    assert!(0 < held_calls.calls(1), "the first never tried");
    assert_eq!(Position::new(4), head);
}
