//! Leases: of two who run one projection, one applies.

use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use factum::testing::ManualClock;
use factum::{Activity, MemoryStore, Position};

use super::bank::{Bank, Db, Hooks, PATIENCE, World, expected, name, until};
use super::hooked::{HookedDb, On, Operation};

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

/// Two who wait for each other's time to be over, though both were started under one name.
#[tokio::test(start_paused = true)]
async fn a_name_takes_its_leases_back_when_it_starts_and_never_again() {
    let world = World::new();
    let (old, new) = (Bank::<1>::default(), Bank::<1>::default());
    let start = async |bank: &Bank<1>| {
        world.log.project(bank.clone(), world.db.clone()).holder("a name").start(&world.shutdown).await.unwrap()
    };
    let first = start(&old).await;
    let head = world.deposit(&["a"]).await;
    first.wait_for(head, PATIENCE).await.unwrap();
    let second = start(&new).await;
    until("the standby", async || first.status().partitions[0].activity == Activity::Standby).await;
    for position in 2..12 {
        let head = world.deposit(&["a"]).await;
        second.wait_for(head, PATIENCE).await.unwrap();
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert_eq!((old.0.calls(position), new.0.calls(position)), (0, 1));
    }
}

#[tokio::test(start_paused = true)]
async fn one_who_stands_by_looks_and_keeps_nobody_from_writing() {
    let world = World::new();
    let first = world.start(Bank::<1>::default()).await;
    let head = world.deposit(&["a"]).await;
    first.wait_for(head, PATIENCE).await.unwrap();
    let begun = Arc::new(Mutex::new(0));
    let counted = begun.clone();
    let db = HookedDb::new(&world.db, move |operation| {
        *counted.lock().unwrap() += u32::from(operation == Operation::Begin);
        std::future::ready(Ok(()))
    });
    let second = world.log.project(On(Bank::<1>::default()), db).start(&world.shutdown).await.unwrap();
    until("the standby", async || second.status().partitions.iter().any(|p| p.activity == Activity::Standby)).await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(*begun.lock().unwrap(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_commit_that_was_begun_is_ended_though_a_shutdown_comes() {
    let world = World::new();
    let (begun, go_on) = (Arc::new(tokio::sync::Semaphore::new(0)), Arc::new(tokio::sync::Semaphore::new(1_000)));
    let gates = (begun.clone(), go_on.clone());
    let db = HookedDb::new(&world.db, move |operation| {
        let (begun, go_on) = gates.clone();
        async move {
            if operation == Operation::Commit {
                begun.add_permits(1);
                go_on.acquire().await.unwrap().forget();
            }
            Ok(())
        }
    });
    let running = world.log.project(On(Bank::<1>::default()), db).start(&world.shutdown).await.unwrap();
    let head = world.deposit(&["a"]).await;
    running.wait_for(head, PATIENCE).await.unwrap();
    go_on.forget_permits(1_000);
    begun.forget_permits(1_000);
    world.deposit(&["b"]).await;
    begun.acquire().await.unwrap().forget();
    world.shutdown.cancel();
    tokio::task::yield_now().await;
    go_on.add_permits(1_000);
    running.ended().await;
    assert_eq!(world.live(), expected(&world.log).await);
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

/// The same; and then it fails, at an event that the other one passed long ago.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_holder_that_fails_after_another_took_over_stops_nobody() {
    let clock = ManualClock::new("2026-11-23T09:30:00Z".parse().unwrap());
    let world = World { db: Db::with_clock(clock.clone()), ..World::new() };
    let head = world.deposit(&["a", "b"]).await;
    let door = Arc::new(Door::default());
    let at_door = door.clone();
    let fail = move |_: &_| {
        at_door.wait();
        Err("too late".into())
    };
    let first = world.start(Bank::<1, 1, true>(Hooks { deliver: Some(Arc::new(fail)), ..Hooks::default() })).await;
    until("the first at the door", async || door.is_waited_at()).await;
    let second = world.start(Bank::<1, 1, true>::default()).await;
    until("the standby", async || second.status().partitions.iter().any(|p| p.activity == Activity::Standby)).await;
    clock.advance(factum::LEASE + Duration::from_secs(1));
    second.wait_for(head, PATIENCE).await.unwrap();
    door.open();
    until("the first standing by", async || first.status().partitions.iter().any(|p| p.activity == Activity::Standby)).await;
    let partition = second.read_models().get(&name("balances@1")).await.unwrap().partitions.remove(0);
    assert_eq!(partition.failure, None);
    assert_eq!(world.live(), expected(&world.log).await);
}
