//! An outbox with a webhook: every event gets there, in the order of its stream, whatever the receiver does.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use axum::http::StatusCode;
use factum::{
    Activity, Append, Backoff, HandlerError, Log, MemoryDb, MemoryStore, NameError, NewEvent, OnFailure, Outbox, Payload,
    Position, Publish, Query, ReadModelName, RecordedEvent, Running, Selector,
};
use factum_http::Webhook;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::receiver::{Port, Receiver, SECRET, secret};

type Db = MemoryDb<()>;

/// Long enough for anything but a deadlock.
const PATIENCE: Duration = Duration::from_secs(20);
/// Tried so often at once that it is enough for all that fails for a while.
const OFTEN: Backoff = Backoff { first: Duration::from_millis(1), longest: Duration::from_millis(1), tries: 100 };

/// A log, a database, and the token that ends what runs on them.
struct World {
    log: Log,
    db: Db,
    shutdown: CancellationToken,
}

impl World {
    fn new() -> Self {
        Self { log: Log::new(MemoryStore::new()), db: Db::new(), shutdown: CancellationToken::new() }
    }

    /// Records an event in each of the streams.
    async fn append(&self, streams: &[&str]) -> Position {
        let payload = Payload::json("{}");
        let event = |stream: &&str| NewEvent::new(stream.parse().unwrap(), "OrderPlaced", payload.clone()).unwrap();
        let events = streams.iter().map(event).collect();
        self.log.append(Append { events, ..Append::default() }).await.unwrap().positions.through
    }

    async fn start<T: Publish>(&self, target: T, on_failure: OnFailure) -> Running<Outbox<T, Db>> {
        self.log.project(Outbox::new(target), self.db.clone()).on_failure(on_failure).start(&self.shutdown).await.unwrap()
    }
}

fn name(text: &str) -> ReadModelName {
    text.parse().unwrap()
}

/// Looks until it is so.
async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    for _ in 0..4_000 {
        if is_so().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("{what} did not come about");
}

/// The versions of each stream, in the order in which they were received for the first time.
fn versions(receiver: &Receiver) -> BTreeMap<String, Vec<u64>> {
    let mut known = HashSet::new();
    let mut versions = BTreeMap::<_, Vec<_>>::new();
    for event in receiver.received().iter().map(crate::receiver::Received::event) {
        if known.insert(event["id"].to_string()) {
            let text = |member: &Value| member.as_str().unwrap().to_owned();
            versions.entry(text(&event["subject"])).or_default().push(event["streamversion"].as_u64().unwrap());
        }
    }
    versions
}

/// The versions of streams that have so many events.
fn whole<const N: usize>(streams: [(&str, u64); N]) -> BTreeMap<String, Vec<u64>> {
    streams.into_iter().map(|(stream, events)| (stream.to_owned(), (1..=events).collect())).collect()
}

#[tokio::test]
async fn a_receiver_that_is_down_for_a_while_gets_every_event_once_and_in_order() {
    let world = World::new();
    let port = Port::new();
    let webhook = Webhook::new("billing", &port.url(), secret(SECRET)).unwrap();
    let running = world.start(webhook, OnFailure::Park(Backoff::NEVER)).await;
    let head = world.append(&["order-1", "order-2", "order-3", "order-1", "order-2", "order-1"].repeat(5)).await;
    let is_down = |activity: &Activity| matches!(activity, Activity::Unavailable(why) if why.starts_with("cannot connect to "));
    until("that it is down", async || running.status().partitions.iter().any(|part| is_down(&part.activity))).await;

    let receiver = port.receive(|_, _| Some(()));
    running.wait_for(head, PATIENCE).await.unwrap();
    assert_eq!(versions(&receiver), whole([("order-1", 15), ("order-2", 10), ("order-3", 5)]));
    assert_eq!(receiver.received().len(), 30);
    assert_eq!(running.read_models().parked(&name("billing@1")).await.unwrap(), []);
}

#[tokio::test]
async fn an_event_that_comes_again_has_the_same_id_and_order_is_kept() {
    let world = World::new();
    let receiver = Receiver::new(|_, number| match number {
        2 => None,
        5 => Some(StatusCode::SERVICE_UNAVAILABLE),
        _ if number % 3 == 0 => Some(StatusCode::INTERNAL_SERVER_ERROR),
        _ => Some(StatusCode::NO_CONTENT),
    });
    let webhook = receiver.webhook().timeout(Duration::from_millis(200));
    let running = world.start(webhook, OnFailure::Park(OFTEN)).await;
    let head = world.append(&["order-1", "order-2", "order-1", "order-3"].repeat(10)).await;
    running.wait_for(head, PATIENCE).await.unwrap();
    let ids: Vec<_> = receiver.received().iter().map(|received| received.header("webhook-id").to_owned()).collect();
    assert_eq!(Value::from(ids.clone()), Value::from(receiver.members("id")));
    assert_eq!(ids.iter().collect::<HashSet<_>>().len(), 40);
    assert!(50 < ids.len(), "{}", ids.len());
    assert_eq!(versions(&receiver), whole([("order-1", 20), ("order-2", 10), ("order-3", 10)]));
}

#[tokio::test]
async fn an_event_that_is_always_refused_is_parked_with_its_stream_and_the_others_go_on() {
    let world = World::new();
    let is_mended = Arc::new(AtomicBool::new(false));
    let mended = is_mended.clone();
    let receiver = Receiver::new(move |received, _| {
        let event = received.event();
        let is_refused = event["subject"] == "order-2" && event["streamversion"] == 2 && !mended.load(Relaxed);
        Some(if is_refused { (StatusCode::UNPROCESSABLE_ENTITY, "no such order") } else { (StatusCode::OK, "") })
    });
    let thrice = OnFailure::Park(Backoff { tries: 3, ..OFTEN });
    let running = world.start(receiver.webhook(), thrice).await;
    let head = world.append(&["order-1", "order-2", "order-2", "order-3", "order-2", "order-1"]).await;
    running.wait_for(head, PATIENCE).await.unwrap();
    let models = running.read_models();
    let parked = models.parked(&name("billing@1")).await.unwrap();
    let told: Vec<_> = parked.iter().map(|parked| (parked.position.get(), parked.tries)).collect();
    assert_eq!(told, [(3, 3), (5, 0)]);
    assert!(parked[0].error.ends_with(r#" answered 422 Unprocessable Entity: "no such order""#), "{}", parked[0].error);
    assert_eq!(versions(&receiver), whole([("order-1", 2), ("order-2", 2), ("order-3", 1)]));

    is_mended.store(true, Relaxed);
    models.retry(&name("billing@1"), Position::new(3), PATIENCE).await.unwrap();
    assert_eq!(models.parked(&name("billing@1")).await.unwrap(), []);
    assert_eq!(versions(&receiver), whole([("order-1", 2), ("order-2", 3), ("order-3", 1)]));
    assert_eq!(receiver.received().len(), 6 + 3);
}

/// The next version of a webhook.
struct Next(Webhook);

impl Publish for Next {
    const VERSION: u32 = 2;
    const PARTITIONS: u32 = Webhook::PARTITIONS;

    fn name(&self) -> Cow<'_, str> {
        self.0.name()
    }

    fn query(&self) -> Result<Query, NameError> {
        self.0.query()
    }

    async fn publish(&self, event: &RecordedEvent) -> Result<(), HandlerError> {
        self.0.publish(event).await
    }
}

#[tokio::test]
async fn nothing_is_published_again_by_a_restart_a_rebuild_or_a_new_version() {
    let world = World::new();
    let receiver = Receiver::willing();
    let running = world.start(receiver.webhook(), OnFailure::Stop).await;
    let head = world.append(&["order-1", "order-2"].repeat(5)).await;
    running.wait_for(head, PATIENCE).await.unwrap();
    world.shutdown.cancel();
    running.ended().await;
    let world = World { shutdown: CancellationToken::new(), ..world };
    world.append(&["order-1"]).await;

    let running = world.start(receiver.webhook(), OnFailure::Stop).await;
    let again = running.read_models().rebuild(&name("billing@1")).await.unwrap();
    until("the rebuilt one", async || running.read_models().live("billing").await.unwrap().as_ref() == Some(&again)).await;
    let head = world.append(&["order-2"]).await;
    running.wait_for(head, PATIENCE).await.unwrap();

    let next = world.start(Next(receiver.webhook()), OnFailure::Stop).await;
    until("version 2", async || next.read_models().live("billing").await.unwrap() == Some(name("billing@2"))).await;
    let head = world.append(&["order-2"]).await;
    next.wait_for(head, PATIENCE).await.unwrap();
    until("the last event", async || receiver.received().len() == 13).await;
    assert_eq!(versions(&receiver), whole([("order-1", 6), ("order-2", 7)]));
}

#[tokio::test]
async fn two_webhooks_of_one_program_have_each_its_name_its_events_and_its_pace() {
    let world = World::new();
    let (billing, shipping) = (Receiver::willing(), Receiver::new(|_, _| Some(StatusCode::IM_A_TEAPOT)));
    let first = world.start(billing.webhook(), OnFailure::Stop).await;
    let orders = Query::from(Selector::category("order".parse().unwrap()));
    let second = Webhook::new("shipping", &shipping.url(), secret(SECRET)).unwrap().events(orders);
    let second = world.start(second, OnFailure::Park(Backoff::NEVER)).await;
    let head = world.append(&["cart-1", "order-1", "$audit", "cart-1"]).await;
    first.wait_for(head, PATIENCE).await.unwrap();
    second.wait_for(head, PATIENCE).await.unwrap();
    assert_eq!(versions(&billing), whole([("cart-1", 2), ("order-1", 1)]));
    assert_eq!(versions(&shipping), whole([("order-1", 1)]));
    assert_eq!(first.read_models().parked(&name("shipping@1")).await.unwrap().len(), 1);
    assert_eq!(first.read_models().parked(&name("billing@1")).await.unwrap(), []);
}
