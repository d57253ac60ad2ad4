//! The rules of fulfilment, and a deadline that passes while the program does not run.

use std::time::Duration;

use factum::testing::{ManualClock, given, given_process};
use factum::{Draft, Effect, Log, Query, Read};
use factum_orders::{Command, Fulfilment, FulfilmentEvent, Order, OrderEvent, PAYMENT_TIME, Refused, start};
use tokio_util::sync::CancellationToken;

const PLACED: OrderEvent = OrderEvent::Placed { cents: 4_200 };
const MINUTE: Duration = Duration::from_secs(60);

fn order(event: &OrderEvent) -> Draft {
    Draft::of::<Order>(&"42".to_owned(), event)
}

fn ship() -> Effect<Command> {
    Effect::Send(Command::Ship { order: "42".to_owned() })
}

fn cancel() -> Effect<Command> {
    Effect::Send(Command::Cancel { order: "42".to_owned() })
}

#[test]
fn what_is_paid_for_in_time_is_shipped_and_its_deadline_is_gone() {
    given_process::<Fulfilment>("42", [])
        .when(order(&PLACED))
        .then([FulfilmentEvent::AwaitsPayment])
        .after(PAYMENT_TIME - MINUTE)
        .then_nothing()
        .when(order(&OrderEvent::Paid))
        .then([FulfilmentEvent::ReadyToShip])
        .then_effects([Effect::cancel("payment"), ship()])
        .after(PAYMENT_TIME)
        .then_nothing();
}

#[test]
fn what_is_not_paid_for_in_time_is_cancelled() {
    given_process::<Fulfilment>("42", [FulfilmentEvent::AwaitsPayment])
        .after(PAYMENT_TIME)
        .then([FulfilmentEvent::PaymentOverdue])
        .then_effects([cancel()]);
}

#[test]
fn the_order_has_the_last_word_where_payment_and_deadline_cross() {
    given::<Order>("42", [PLACED, OrderEvent::Paid]).when_deciding(Order::cancel).then_rejected(Refused::Paid);
    given::<Order>("42", [PLACED, OrderEvent::Cancelled]).when_deciding(Order::pay).then_rejected(Refused::Over);
    given_process::<Fulfilment>("42", [FulfilmentEvent::AwaitsPayment, FulfilmentEvent::PaymentOverdue])
        .when(order(&OrderEvent::Paid))
        .then([FulfilmentEvent::ReadyToShip]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deadline_passes_while_the_program_does_not_run() {
    let folder = tempfile::tempdir().unwrap();
    // Its timers count from when the order was recorded, which is by this machine's clock.
    let clock = ManualClock::new(factum::Timestamp::now());
    {
        let store = factum_embedded::open(folder.path()).unwrap();
        let (log, shutdown) = (Log::new(store.clone()), CancellationToken::new());
        let fulfilment = start(&log, clock.clone(), &shutdown).await.unwrap();
        let orders = log.repository::<Order>();
        for id in ["paid", "forgotten"] {
            orders.decide(&id.to_owned(), |order| order.place(4_200)).await.unwrap();
        }
        orders.decide(&"paid".to_owned(), Order::pay).await.unwrap();
        until(&log, "order-paid", "OrderShipped").await;
        shutdown.cancel();
        fulfilment.ended().await.unwrap();
        store.close();
    }
    clock.advance(PAYMENT_TIME + MINUTE);
    let (log, shutdown) = (Log::new(factum_embedded::open(folder.path()).unwrap()), CancellationToken::new());
    let fulfilment = start(&log, clock, &shutdown).await.unwrap();
    until(&log, "order-forgotten", "OrderCancelled").await;
    shutdown.cancel();
    fulfilment.ended().await.unwrap();
    assert_eq!(happened(&log, "order-paid").await, ["OrderPlaced", "OrderPaid", "OrderShipped"]);
    assert_eq!(happened(&log, "order-forgotten").await, ["OrderPlaced", "OrderCancelled"]);
}

/// Looks until something of this type has happened in a stream.
async fn until(log: &Log, stream: &str, event_type: &str) {
    let happens = async {
        while !happened(log, stream).await.iter().any(|name| name == event_type) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(MINUTE, happens).await.unwrap_or_else(|_| panic!("no {event_type} in {stream}"));
}

/// The types of a stream's events, in their order.
async fn happened(log: &Log, stream: &str) -> Vec<String> {
    let mut types = Vec::new();
    let mut pages = log.read(Read::new(Query::stream(stream.parse().unwrap())));
    while let Some(page) = pages.next().await.unwrap() {
        types.extend(page.events.iter().map(|event| event.event_type.to_string()));
    }
    types
}
