//! Read models that are made again, beside the live one.

use std::time::Duration;

use factum::{ControlError, Phase, Position, StartError};

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
    tokio::time::timeout(PATIENCE, first.ended()).await.unwrap();
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
