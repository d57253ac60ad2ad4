//! A projection that runs.

use factum::{Activity, Position, StartError, WaitError};

use super::bank::{Bank, PATIENCE, World, expected, name, until};

#[tokio::test]
async fn events_of_before_and_of_after_the_start_are_applied_once_and_in_order() {
    let world = World::new();
    world.deposit(&["a", "b", "a"]).await;
    let running = world.start(Bank::<1>::default()).await;
    let head = world.deposit(&["b", "c"]).await;
    running.wait_for(head, PATIENCE).await.unwrap();
    assert_eq!(world.live(), expected(&world.log).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn partitions_keep_the_order_within_a_key_and_miss_nothing() {
    let world = World::new();
    let accounts: Vec<String> = (0..40).map(|n| format!("{}", n % 13)).collect();
    let accounts: Vec<&str> = accounts.iter().map(String::as_str).collect();
    world.deposit(&accounts).await;
    let running = world.start(Bank::<1, 4>::default()).await;
    let head = world.deposit(&accounts).await;
    running.wait_for(head, PATIENCE).await.unwrap();
    assert_eq!(world.live(), expected(&world.log).await);
    assert_eq!(running.status().partitions.len(), 4);
}

#[tokio::test]
async fn what_is_waited_for_and_does_not_come_is_a_timeout_that_tells_how_far_it_is() {
    let world = World::new();
    let running = world.start(Bank::<1>::default()).await;
    let head = world.deposit(&["a"]).await;
    running.wait_for(head, PATIENCE).await.unwrap();
    let waited = running.wait_for(Position::new(2), std::time::Duration::from_millis(1)).await;
    assert!(matches!(waited, Err(WaitError::Timeout { reached, .. }) if reached == head), "{waited:?}");
}

#[tokio::test]
async fn a_projection_goes_on_where_the_last_one_ended() {
    let world = World::new();
    let head = world.deposit(&["a", "b"]).await;
    let running = world.start(Bank::<1>::default()).await;
    running.wait_for(head, PATIENCE).await.unwrap();
    world.shutdown.cancel();
    running.ended().await;

    let world = World { shutdown: Default::default(), ..world };
    let bank = Bank::<1>::default();
    let hooks = bank.0.clone();
    let running = world.start(bank).await;
    let head = world.deposit(&["a"]).await;
    running.wait_for(head, PATIENCE).await.unwrap();
    assert_eq!(world.live(), expected(&world.log).await);
    assert_eq!((hooks.calls(1), hooks.calls(2), hooks.calls(3)), (0, 0, 1));
}

#[tokio::test]
async fn another_number_of_partitions_needs_another_version() {
    let world = World::new();
    world.start(Bank::<1, 2>::default()).await;
    let refused = world.log.project(Bank::<1, 3>::default(), world.db.clone()).start(&world.shutdown).await.err();
    assert!(matches!(refused, Some(StartError::Partitions { expected: 3, actual: 2, .. })), "{refused:?}");
}

#[tokio::test]
async fn a_paused_read_model_waits_and_goes_on_when_it_is_resumed() {
    let world = World::new();
    let running = world.start(Bank::<1>::default()).await;
    let first = world.deposit(&["a"]).await;
    running.wait_for(first, PATIENCE).await.unwrap();
    running.read_models().pause(&name("balances@1")).await.unwrap();
    until("the pause", async || running.status().partitions[0].activity == Activity::Paused).await;
    let second = world.deposit(&["a"]).await;
    assert_eq!(world.live().applied["account-a"], [1]);
    running.read_models().resume(&name("balances@1")).await.unwrap();
    running.wait_for(second, PATIENCE).await.unwrap();
    assert_eq!(world.live(), expected(&world.log).await);
}

#[tokio::test]
async fn the_status_tells_the_lag_and_the_records_tell_it_to_others() {
    let world = World::new();
    let running = world.start(Bank::<1>::default()).await;
    let head = world.deposit(&["a", "a", "a"]).await;
    running.wait_for(head, PATIENCE).await.unwrap();
    until("the end of the lag", async || {
        let status = running.status();
        status.lag_events() == 0 && status.partitions[0].activity == Activity::Following
    })
    .await;
    let model = running.read_models().get(&name("balances@1")).await.unwrap();
    assert_eq!((model.checkpoint(), model.partitions[0].events, model.parked), (head, 3, 0));
    assert!(model.partitions[0].lease.is_some());
}

#[tokio::test]
async fn a_throttled_read_model_gets_everything_still() {
    let world = World::new();
    let running = world.start(Bank::<1>::default()).await;
    running.read_models().throttle(&name("balances@1"), Some(1_000)).await.unwrap();
    let head = world.deposit(&["a"; 50]).await;
    running.wait_for(head, PATIENCE).await.unwrap();
    assert_eq!(world.live(), expected(&world.log).await);
}

#[tokio::test]
async fn one_stream_is_made_again_from_its_events() {
    let world = World::new();
    let running = world.start(Bank::<1, 3>::default()).await;
    let head = world.deposit(&["a", "b", "a", "c"]).await;
    running.wait_for(head, PATIENCE).await.unwrap();
    // What an operator did to the tables by hand.
    let mut tx = factum::ReadDb::begin(&world.db, &name("balances@1")).await.unwrap();
    tx.cents.insert("account-a".to_owned(), 7);
    factum::ReadDb::commit(&world.db, tx).await.unwrap();
    let stream = "account-a".parse().unwrap();
    running.read_models().rebuild_stream(&name("balances@1"), &stream, PATIENCE).await.unwrap();
    assert_eq!(world.live(), expected(&world.log).await);
}
