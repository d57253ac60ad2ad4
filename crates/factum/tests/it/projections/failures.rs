//! Events that cannot be handled.

use factum::{
    Activity, Backoff, CodecError, EventSet, HandlerError, NameError, OnFailure, Position, Projection, Query, RecordedEvent,
    TxOf, TypedEvent, WaitError,
};

use super::bank::{AccountEvent, Bank, Db, Hooks, PATIENCE, THRICE, World, expected, name, until};

/// Refuses [`AccountEvent::Refused`], so many times.
fn refusing(times: u32) -> Hooks {
    Hooks::failing(move |event, calls| match event.data {
        AccountEvent::Refused if calls <= times => Err(format!("refused {calls}").into()),
        _ => Ok(()),
    })
}

async fn world_with_a_refused_event() -> World {
    let world = World::new();
    world.deposit(&["a", "b"]).await;
    world.decide("a", AccountEvent::Refused).await;
    world.deposit(&["a", "b", "a"]).await;
    world
}

#[tokio::test]
async fn a_projection_stops_in_front_of_an_event_that_fails_and_says_why() {
    let world = world_with_a_refused_event().await;
    let bank = Bank::<1>(refusing(1));
    let running = world.start(bank.clone()).await;
    let failure = running.stopped().await.unwrap();
    assert_eq!((failure.position, failure.error.as_str(), failure.tries), (Position::new(3), "refused 1", 1));
    assert_eq!(world.live().applied["account-a"], [1]);
    assert_eq!(world.live().applied["account-b"], [2]);
    let waited = running.wait_for(Position::new(3), PATIENCE).await;
    assert!(matches!(waited, Err(WaitError::Stopped { .. })), "{waited:?}");
    assert_eq!(bank.0.calls(3), 1);

    running.read_models().resume(&name("balances@1")).await.unwrap();
    running.wait_for(Position::new(6), PATIENCE).await.unwrap();
    assert_eq!(world.live(), expected(&world.log).await);
}

#[tokio::test]
async fn a_program_that_is_started_again_tries_again() {
    let world = world_with_a_refused_event().await;
    let running = world.start(Bank::<1>(refusing(1))).await;
    running.stopped().await.unwrap();
    world.shutdown.cancel();
    running.ended().await;
    let world = World { shutdown: Default::default(), ..world };
    let running = world.start(Bank::<1>::default()).await;
    running.wait_for(Position::new(6), PATIENCE).await.unwrap();
    assert_eq!(world.live(), expected(&world.log).await);
}

#[tokio::test]
async fn an_event_is_tried_as_often_as_the_policy_says() {
    let world = world_with_a_refused_event().await;
    let bank = Bank::<1>(refusing(2));
    let runner = world.log.project(bank.clone(), world.db.clone()).on_failure(OnFailure::Retry(THRICE));
    let running = runner.start(&world.shutdown).await.unwrap();
    running.wait_for(Position::new(6), PATIENCE).await.unwrap();
    assert_eq!(world.live(), expected(&world.log).await);

    let world = world_with_a_refused_event().await;
    let bank = Bank::<1>(refusing(9));
    let runner = world.log.project(bank.clone(), world.db.clone()).on_failure(OnFailure::Retry(THRICE));
    let running = runner.start(&world.shutdown).await.unwrap();
    assert_eq!(running.stopped().await.unwrap().tries, 3);
    assert_eq!(bank.0.calls(3), 3);
}

#[tokio::test]
async fn a_parked_event_holds_back_its_own_key_and_nobody_else() {
    let world = world_with_a_refused_event().await;
    let runner = world.log.project(Bank::<1>(refusing(3)), world.db.clone()).on_failure(OnFailure::Park(THRICE));
    let running = runner.start(&world.shutdown).await.unwrap();
    running.wait_for(Position::new(6), PATIENCE).await.unwrap();
    assert_eq!(world.live().applied["account-a"], [1]);
    assert_eq!(world.live().applied["account-b"], [2, 5]);
    let models = running.read_models();
    let parked = models.parked(&name("balances@1")).await.unwrap();
    let told: Vec<_> = parked.iter().map(|parked| (parked.position.get(), parked.tries, parked.error.as_str())).collect();
    assert_eq!(told, [(3, 3, "refused 3"), (4, 0, ""), (6, 0, "")]);

    models.retry(&name("balances@1"), Position::new(3), PATIENCE).await.unwrap();
    assert_eq!(world.live(), expected(&world.log).await);
    assert_eq!(models.parked(&name("balances@1")).await.unwrap(), []);
    let head = world.deposit(&["a"]).await;
    running.wait_for(head, PATIENCE).await.unwrap();
    assert_eq!(world.live(), expected(&world.log).await);
}

#[tokio::test]
async fn a_parked_event_that_fails_again_stays_and_counts() {
    let world = world_with_a_refused_event().await;
    let runner = world.log.project(Bank::<1>(refusing(9)), world.db.clone()).on_failure(OnFailure::Park(Backoff::NEVER));
    let running = runner.start(&world.shutdown).await.unwrap();
    running.wait_for(Position::new(6), PATIENCE).await.unwrap();
    let models = running.read_models();
    models.retry(&name("balances@1"), Position::new(6), PATIENCE).await.unwrap();
    let parked = models.parked(&name("balances@1")).await.unwrap();
    assert_eq!(parked.iter().map(|parked| parked.tries).collect::<Vec<_>>(), [2, 0, 0]);
    assert_eq!(world.live().applied["account-a"], [1]);
}

#[tokio::test]
async fn a_discarded_event_lets_those_behind_it_go_on() {
    let world = world_with_a_refused_event().await;
    let runner = world.log.project(Bank::<1>(refusing(9)), world.db.clone()).on_failure(OnFailure::Park(Backoff::NEVER));
    let running = runner.start(&world.shutdown).await.unwrap();
    running.wait_for(Position::new(6), PATIENCE).await.unwrap();
    running.read_models().discard(&name("balances@1"), Position::new(3), PATIENCE).await.unwrap();
    assert_eq!(world.live().applied["account-a"], [1, 4, 6]);
    assert_eq!(running.read_models().parked(&name("balances@1")).await.unwrap(), []);
    let again = running.read_models().discard(&name("balances@1"), Position::new(3), PATIENCE).await;
    assert!(matches!(again, Err(factum::ControlError::NotParked { .. })), "{again:?}");
}

#[tokio::test]
async fn a_panic_is_a_failure_of_its_event() {
    let world = world_with_a_refused_event().await;
    let panics = Hooks::failing(|event, _| match event.data {
        AccountEvent::Refused => panic!("out of {}", "ideas"),
        AccountEvent::Deposited { .. } => Ok(()),
    });
    let running = world.start(Bank::<1>(panics)).await;
    assert_eq!(running.stopped().await.unwrap().error, "it panicked: out of ideas");
    assert!(matches!(running.status().partitions[0].activity, Activity::Stopped(_)));
}

#[tokio::test]
async fn a_database_that_fails_for_a_while_is_tried_again_and_nothing_is_parked() {
    let world = world_with_a_refused_event().await;
    let unavailable = Hooks::failing(|event, calls| match event.data {
        AccountEvent::Refused if calls < 4 => {
            Err(factum::StoreError::new(factum::StoreErrorKind::Unavailable, "the database is busy").into())
        }
        _ => Ok(()),
    });
    let runner = world.log.project(Bank::<1>(unavailable), world.db.clone()).on_failure(OnFailure::Park(Backoff::NEVER));
    let running = runner.start(&world.shutdown).await.unwrap();
    running.wait_for(Position::new(6), PATIENCE).await.unwrap();
    assert_eq!(running.read_models().parked(&name("balances@1")).await.unwrap(), []);
    assert_eq!(world.live(), expected(&world.log).await);
}

#[tokio::test]
async fn an_event_that_cannot_be_read_is_a_failure_like_any_other() {
    let world = World::new();
    world.deposit(&["a"]).await;
    let stored = [r#"{"cents":"many"}"#, r#"{"cents":10}"#].map(|data| {
        factum::NewEvent::new("account-a".parse().unwrap(), "AccountDeposited", factum::Payload::json(data)).unwrap()
    });
    world.log.append(factum::Append::new(stored.into())).await.unwrap();
    world.deposit(&["b"]).await;
    let runner = world.log.project(Bank::<1>::default(), world.db.clone()).on_failure(OnFailure::Park(Backoff::NEVER));
    let running = runner.start(&world.shutdown).await.unwrap();
    running.wait_for(Position::new(4), PATIENCE).await.unwrap();
    until("the parking", async || running.read_models().parked(&name("balances@1")).await.unwrap().len() == 2).await;
    assert_eq!(world.live().applied["account-b"], [4]);
    assert!(running.read_models().parked(&name("balances@1")).await.unwrap()[0].error.contains("AccountDeposited"));
}

#[tokio::test]
async fn a_panic_before_it_is_applied_is_a_failure_of_its_event_too() {
    let world = world_with_a_refused_event().await;
    let key = |event: &RecordedEvent| match event.event_type.as_str() {
        "AccountRefused" => panic!("no key"),
        _ => event.stream.to_string(),
    };
    let hooks = Hooks { key: Some(key), ..Hooks::default() };
    let runner = world.log.project(Bank::<1, 2>(hooks), world.db.clone()).on_failure(OnFailure::Park(Backoff::NEVER));
    let running = runner.start(&world.shutdown).await.unwrap();
    running.wait_for(Position::new(6), PATIENCE).await.unwrap();
    let parked = running.read_models().parked(&name("balances@1")).await.unwrap();
    let told: Vec<_> = parked.iter().map(|parked| (parked.position.get(), parked.error.as_str())).collect();
    assert_eq!(told, [(3, "it panicked: no key"), (4, ""), (6, "")]);
    assert_eq!(world.live().applied["account-b"], [2, 5]);
}

/// Events whose reading panics.
#[derive(Debug)]
struct Explosive;

impl EventSet for Explosive {
    fn query() -> Result<Query, NameError> {
        Ok(Query::all())
    }

    fn of(_: &RecordedEvent) -> Result<Option<Self>, CodecError> {
        panic!("it is too old")
    }
}

impl Projection for Explosive {
    const NAME: &'static str = "explosive";
    const VERSION: u32 = 1;
    type Events = Self;
    type Db = Db;

    async fn create(&self, _tx: &mut TxOf<Self>) -> Result<(), HandlerError> {
        Ok(())
    }

    async fn apply(&self, _tx: &mut TxOf<Self>, _event: &TypedEvent<Self>) -> Result<(), HandlerError> {
        Ok(())
    }
}

#[tokio::test]
async fn a_panic_while_an_event_is_read_is_a_failure_of_it() {
    let world = World::new();
    world.deposit(&["a"]).await;
    let running = world.start(Explosive).await;
    assert_eq!(running.stopped().await.unwrap().error, "it panicked: it is too old");
}
