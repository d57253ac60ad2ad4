//! Fulfilment: an order has half an hour to be paid for, and is shipped then; otherwise it is cancelled.

use std::time::Duration;

use factum::{
    Aggregate, Clock, DecideError, Dispatch, Effect, Event, HandlerError, Log, Process, ProcessError, RunningProcess, TypedEvent,
};
use tokio_util::sync::CancellationToken;

use crate::{Order, OrderEvent, Refused};

/// How long an order waits for its money.
pub const PAYMENT_TIME: Duration = Duration::from_secs(30 * 60);

const PAYMENT: &str = "payment";

/// The fulfilment of one order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Fulfilment {
    shipping: bool,
}

/// What happens to a fulfilment.
#[derive(Debug, Clone, PartialEq, Event)]
#[event(prefix = "Fulfilment")]
pub enum FulfilmentEvent {
    /// The money has half an hour.
    AwaitsPayment,
    /// The order can go.
    ReadyToShip,
    /// The half hour is over.
    PaymentOverdue,
    /// There is nothing left to do.
    Completed,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// The order is to be shipped.
    Ship {
        /// Which one.
        order: String,
    },
    /// The order is to be cancelled.
    Cancel {
        /// Which one.
        order: String,
    },
}

impl Aggregate for Fulfilment {
    const CATEGORY: &'static str = "fulfilment"; // that of order 42 is `fulfilment-42`
    type Id = String;
    type Event = FulfilmentEvent;

    fn apply(&mut self, event: &FulfilmentEvent) {
        self.shipping |= *event == FulfilmentEvent::ReadyToShip;
    }
}

impl Process for Fulfilment {
    type Inputs = OrderEvent;
    type Command = Command;

    fn instance(input: &TypedEvent<OrderEvent>) -> Option<String> {
        input.stream.as_str().strip_prefix("order-").map(str::to_owned)
    }

    fn react(&self, input: &TypedEvent<OrderEvent>) -> Vec<FulfilmentEvent> {
        vec![match input.data {
            OrderEvent::Placed { .. } => FulfilmentEvent::AwaitsPayment,
            // Also where the money came in the very moment that it was overdue: the order has the last word on that.
            OrderEvent::Paid => FulfilmentEvent::ReadyToShip,
            OrderEvent::Shipped | OrderEvent::Cancelled => FulfilmentEvent::Completed,
        }]
    }

    fn wake(&self, _payment: &str) -> Vec<FulfilmentEvent> {
        if self.shipping { vec![] } else { vec![FulfilmentEvent::PaymentOverdue] }
    }

    fn effects(event: &TypedEvent<FulfilmentEvent>) -> Vec<Effect<Command>> {
        let order = event.stream.as_str().strip_prefix("fulfilment-").unwrap_or_default().to_owned();
        match event.data {
            FulfilmentEvent::AwaitsPayment => vec![Effect::wake_after(PAYMENT, PAYMENT_TIME)],
            FulfilmentEvent::ReadyToShip => vec![Effect::cancel(PAYMENT), Effect::Send(Command::Ship { order })],
            FulfilmentEvent::PaymentOverdue => vec![Effect::Send(Command::Cancel { order })],
            FulfilmentEvent::Completed => vec![],
        }
    }
}

/// Runs the fulfilment of all orders, with a clock for its timers, until `shutdown` is cancelled.
///
/// # Errors
/// [`ProcessError`] where the store cannot be read, or not be written to.
pub async fn start(log: &Log, clock: impl Clock, shutdown: &CancellationToken) -> Result<RunningProcess, ProcessError> {
    let orders = log.clone();
    let handler = move |dispatch| carry_out(dispatch, orders.clone());
    // Under a name that is always the same, it goes on at once after a crash.
    log.process::<Fulfilment, _, _>(handler).clock(clock).member("fulfilment").start(shutdown).await
}

/// Does what is to be done. It may be asked to more than once: it decides under the command's id, so it is done once.
///
/// # Errors
/// [`HandlerError`] where the store fails: then it is asked to again.
pub async fn carry_out(dispatch: Dispatch<Fulfilment>, orders: Log) -> Result<(), HandlerError> {
    let orders = dispatch.on(&orders).repository::<Order>();
    let done = match &dispatch.command {
        Command::Ship { order } => orders.decide(order, Order::ship).await,
        Command::Cancel { order } => orders.decide(order, Order::cancel).await,
    };
    match done {
        // It was paid for just before it was cancelled, or the other way round: what counts is what the order says.
        Ok(_) | Err(DecideError::Rejected(Refused::Paid | Refused::Over)) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
