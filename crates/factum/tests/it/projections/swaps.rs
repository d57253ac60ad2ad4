//! Read models that are made again, beside the live one.

use std::time::Duration;

use factum::{Activity, Backoff, ControlError, Ended, OnFailure, Phase, Position, StartError};

use super::bank::{AccountEvent, Bank, Hooks, PATIENCE, World, expected, name, until};

async fn phase(world: &World, model: &str) -> Option<Phase> {
    let models = factum::ReadModels::new(world.db.clone());
    models.get(&name(model)).await.ok().map(|model| model.phase)
}

#[tokio::test]
async fn a_new_version_is_filled_beside_the_live_one_and_takes_its_place() {
    let world = World::new();
    let first = world.start(Bank::<1>::default()).await;
    let head = world.deposit(&["a", "b", "a"]).await;
    first.wait_for(head, PATIENCE).await.unwrap();
    let second = world.start(Bank::<2, 3>::default()).await;
    until("the swap", async || phase(&world, "balances@2").await == Some(Phase::Live)).await;
    assert_eq!(phase(&world, "balances@1").await, Some(Phase::Retired));
    let head = world.deposit(&["c"]).await;
    second.wait_for(head, PATIENCE).await.unwrap();
    assert_eq!(world.live(), expected(&world.log).await);

    // The retired one is kept up to date, until it is dropped.
    until("the retired one", async || world.db.model(&name("balances@1")) == Some(world.live())).await;
    let models = second.read_models();
    let refused = models.drop(&name("balances@2")).await;
    assert!(matches!(refused, Err(ControlError::Live(_))), "{refused:?}");
    models.drop(&name("balances@1")).await.unwrap();
    assert_eq!(tokio::time::timeout(PATIENCE, first.ended()).await, Ok(Ended::Dropped));
    assert_eq!(world.db.model(&name("balances@1")), None);
    assert_eq!(models.list().await.unwrap().len(), 1);
    let old = world.log.project(Bank::<1>::default(), world.db.clone()).start(&world.shutdown).await.err();
    assert!(matches!(old, Some(StartError::Superseded { .. })), "{old:?}");
}

#[tokio::test]
async fn what_is_queried_is_the_old_read_model_until_the_new_one_has_all_of_it() {
    let world = World::new();
    let first = world.start(Bank::<1>::default()).await;
    let head = world.deposit(&["a", "b"]).await;
    first.wait_for(head, PATIENCE).await.unwrap();
    // The new one cannot get past the second event.
    let stuck =
        Hooks::failing(|event, calls| if event.position == Position::new(2) && calls < 3 { Err("no".into()) } else { Ok(()) });
    let second = world.start(Bank::<2>(stuck)).await;
    second.stopped().await.unwrap();
    assert_eq!(phase(&world, "balances@2").await, Some(Phase::Filling));
    assert_eq!(world.live(), expected(&world.log).await);
    second.read_models().resume(&name("balances@2")).await.unwrap();
    second.stopped().await.unwrap();
    until("the second failure", async || second.status().failure().is_some()).await;
    while phase(&world, "balances@2").await != Some(Phase::Live) {
        second.read_models().resume(&name("balances@2")).await.unwrap();
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(world.live(), expected(&world.log).await);
}

#[tokio::test]
async fn a_read_model_is_made_again_when_that_is_asked_and_can_be_cancelled() {
    let world = World::new();
    let running = world.start(Bank::<1>::default()).await;
    let head = world.deposit(&["a", "b"]).await;
    running.wait_for(head, PATIENCE).await.unwrap();
    let models = running.read_models();
    let again = models.rebuild(&name("balances@1")).await.unwrap();
    assert_eq!(again, name("balances@1.1"));
    until("the swap", async || phase(&world, "balances@1.1").await == Some(Phase::Live)).await;
    let head = world.deposit(&["b"]).await;
    running.wait_for(head, PATIENCE).await.unwrap();
    assert_eq!(world.live(), expected(&world.log).await);

    // The next one is slow enough to be cancelled.
    world.deposit(&["b"; 10]).await;
    let third = models.rebuild(&name("balances@1.1")).await.unwrap();
    assert_eq!(third, name("balances@1.2"));
    while models.pause(&third).await.is_err() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    models.drop(&third).await.unwrap();
    assert_eq!(world.db.model(&third), None);
    let head = world.deposit(&["a"]).await;
    running.wait_for(head, PATIENCE).await.unwrap();
    assert_eq!(world.live(), expected(&world.log).await);
}

/// Refuses an event, for ever.
fn refusing(position: u64) -> Hooks {
    Hooks::failing(move |event, _| if event.position == Position::new(position) { Err("no".into()) } else { Ok(()) })
}

#[tokio::test(start_paused = true)]
async fn what_is_queried_does_not_go_back_where_a_part_of_the_live_one_is_far_ahead() {
    let world = World::new();
    let head = world.deposit(&["a", "b", "c", "d", "e", "f", "a", "b", "c", "d", "e", "f"]).await;
    // One part stops at once, the other gets to the head.
    let first = world.start(Bank::<1, 2>(refusing(1))).await;
    until("one part at the head", async || first.status().partitions.iter().any(|part| part.checkpoint == head)).await;
    let queried = world.live();
    assert!(!queried.applied.is_empty() && !queried.applied.contains_key("account-a"));

    // The new one gets past the slower of them, and waits there.
    let hour = Backoff { first: Duration::from_secs(3_600), longest: Duration::from_secs(3_600), tries: 9 };
    let runner = world.log.project(Bank::<2>(refusing(7)), world.db.clone()).while_rebuilding(OnFailure::Retry(hour));
    let second = runner.start(&world.shutdown).await.unwrap();
    until("the wait", async || second.status().partitions.iter().any(|part| part.checkpoint == Position::new(6))).await;
    tokio::time::sleep(Duration::from_secs(20)).await;
    assert_eq!(phase(&world, "balances@2").await, Some(Phase::Filling));
    assert_eq!(world.live(), queried);
}

#[tokio::test(start_paused = true)]
async fn a_new_one_that_has_stopped_does_not_hold_up_the_live_one() {
    let world = World::new();
    let head = world.deposit(&["a", "b"]).await;
    let first = world.start(Bank::<1>::default()).await;
    first.wait_for(head, PATIENCE).await.unwrap();
    let second = world.start(Bank::<2>(refusing(2))).await;
    second.stopped().await.unwrap();
    for _ in 0..50 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert_ne!(first.status().partitions[0].activity, Activity::Standby);
    }
    assert_eq!(phase(&world, "balances@2").await, Some(Phase::Filling));
}

#[tokio::test(start_paused = true)]
async fn one_that_is_filled_late_does_not_take_the_place_of_a_newer_one() {
    let world = World::new();
    let head = world.deposit(&["a", "b"]).await;
    let first = world.start(Bank::<1>::default()).await;
    first.wait_for(head, PATIENCE).await.unwrap();
    let late = world.start(Bank::<2>(Hooks::failing(|_, calls| if calls == 1 { Err("not yet".into()) } else { Ok(()) }))).await;
    late.stopped().await.unwrap();
    let third = world.start(Bank::<3>::default()).await;
    until("the swap", async || phase(&world, "balances@3").await == Some(Phase::Live)).await;
    while world.db.model(&name("balances@2")) != Some(world.live()) {
        late.read_models().resume(&name("balances@2")).await.unwrap();
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(third.read_models().live("balances").await.unwrap(), Some(name("balances@3")));
    assert_eq!(phase(&world, "balances@2").await, Some(Phase::Filling));
}

#[tokio::test(start_paused = true)]
async fn a_rebuild_that_was_cancelled_can_be_asked_for_again() {
    let world = World::new();
    let running = world.start(Bank::<1>::default()).await;
    let head = world.deposit(&["a"]).await;
    running.wait_for(head, PATIENCE).await.unwrap();
    let models = running.read_models();
    let again = models.rebuild(&name("balances@1")).await.unwrap();
    until("the rebuild", async || models.pause(&again).await.is_ok()).await;
    until("its worker", async || running.status().partitions.iter().any(|part| part.model == again)).await;
    models.drop(&again).await.unwrap();
    until("its end", async || running.status().partitions.iter().all(|part| part.model != again)).await;
    assert_eq!(models.rebuild(&name("balances@1")).await.unwrap(), again);
    until("the swap", async || phase(&world, "balances@1.1").await == Some(Phase::Live)).await;
    assert_eq!(world.live(), expected(&world.log).await);
}

#[tokio::test(start_paused = true)]
async fn a_rebuild_whose_tables_cannot_be_made_is_told_of_and_tried_again() {
    let world = World::new();
    let tries = std::sync::atomic::AtomicU32::new(0);
    let create = move || match tries.fetch_add(1, std::sync::atomic::Ordering::SeqCst) {
        1 => Err("no table today".into()),
        2 => panic!("no table at all"),
        _ => Ok(()),
    };
    let running = world.start(Bank::<1>(Hooks { create: Some(std::sync::Arc::new(create)), ..Hooks::default() })).await;
    let head = world.deposit(&["a"]).await;
    running.wait_for(head, PATIENCE).await.unwrap();
    running.read_models().rebuild(&name("balances@1")).await.unwrap();
    for told in ["no table today", "it panicked: no table at all"] {
        let told = Some(format!("cannot make the tables: {told}"));
        until("the error", async || running.status().error == told).await;
    }
    until("the swap", async || phase(&world, "balances@1.1").await == Some(Phase::Live)).await;
    until("the end of the error", async || running.status().error.is_none()).await;
    assert_eq!(world.live(), expected(&world.log).await);
}

#[tokio::test]
async fn an_older_program_keeps_its_retired_read_model_up_to_date_while_it_is_there() {
    let world = World::new();
    let head = world.deposit(&["a"]).await;
    let first = world.start(Bank::<1>::default()).await;
    first.wait_for(head, PATIENCE).await.unwrap();
    world.shutdown.cancel();
    assert_eq!(first.ended().await, Ended::Shutdown);
    let world = World { shutdown: Default::default(), ..world };
    let _second = world.start(Bank::<2>::default()).await;
    until("the swap", async || phase(&world, "balances@1").await == Some(Phase::Retired)).await;
    world.deposit(&["a", "b"]).await;
    let _first = world.start(Bank::<1>::default()).await;
    let expected = expected(&world.log).await;
    until("the retired one", async || world.db.model(&name("balances@1")).as_ref() == Some(&expected)).await;
}

#[tokio::test]
async fn effects_are_had_once_over_a_swap_and_none_while_filling() {
    let world = World::new();
    let old = Bank::<1, 1, true>::default();
    let first = world.start(old.clone()).await;
    let head = world.deposit(&["a", "b", "a"]).await;
    first.wait_for(head, PATIENCE).await.unwrap();
    assert_eq!(old.0.delivered(), [1, 2, 3]);
    world.shutdown.cancel();
    first.ended().await;

    let world = World { shutdown: Default::default(), ..world };
    world.deposit(&["c", "a"]).await;
    let new = Bank::<2, 2, true>::default();
    let second = world.start(new.clone()).await;
    until("the swap", async || phase(&world, "balances@2").await == Some(Phase::Live)).await;
    let head = world.deposit(&["b"]).await;
    second.wait_for(head, PATIENCE).await.unwrap();
    until("the effects", async || 3 <= new.0.delivered().len()).await;
    let mut delivered = new.0.delivered();
    delivered.sort_unstable();
    assert_eq!(delivered, [4, 5, 6]);
    assert_eq!(world.live(), expected(&world.log).await);
}

#[tokio::test]
async fn what_the_old_one_had_parked_for_its_effect_waits_in_the_new_one() {
    let world = World::new();
    world.deposit(&["a"]).await;
    world.decide("a", AccountEvent::Refused).await;
    world.deposit(&["a", "b"]).await;
    let refusing = Hooks {
        deliver: Some(std::sync::Arc::new(|event| match event.data {
            AccountEvent::Refused => Err("the receiver says no".into()),
            AccountEvent::Deposited { .. } => Ok(()),
        })),
        ..Hooks::default()
    };
    let park = factum::OnFailure::Park(factum::Backoff::NEVER);
    let runner = world.log.project(Bank::<1, 1, true>(refusing), world.db.clone()).on_failure(park);
    let first = runner.start(&world.shutdown).await.unwrap();
    first.wait_for(Position::new(4), PATIENCE).await.unwrap();
    world.shutdown.cancel();
    first.ended().await;

    let world = World { shutdown: Default::default(), ..world };
    let new = Bank::<2, 2, true>::default();
    let second = world.start(new.clone()).await;
    until("the swap", async || phase(&world, "balances@2").await == Some(Phase::Live)).await;
    let head = world.deposit(&["a", "b"]).await;
    second.wait_for(head, PATIENCE).await.unwrap();
    assert_eq!(new.0.delivered(), [6], "the events of a parked account wait behind it");
    second.read_models().retry(&name("balances@2"), Position::new(2), PATIENCE).await.unwrap();
    assert_eq!(new.0.delivered(), [6, 2, 3, 5]);
    assert_eq!(world.live(), expected(&world.log).await);
}
