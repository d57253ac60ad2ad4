//! What both tests of kills share.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use factum::testing::ManualClock;
use factum::{Dispatch, HandlerError, Log, Repository};
use factum_orders::{Fulfilment, Order, PAYMENT_TIME, carry_out};

/// Places orders, of which a third is never paid for, and some are paid for too late.
pub(crate) async fn place(orders: &Repository<Order>, ids: &[String], clock: &ManualClock) {
    for id in ids {
        orders.decide(id, |order| order.place(4_200)).await.unwrap();
    }
    clock.advance(PAYMENT_TIME / 2);
    for (id, number) in ids.iter().zip(0..) {
        if number % 3 != 0 && number % 10 != 5 {
            orders.decide(id, Order::pay).await.unwrap();
        }
    }
    clock.advance(PAYMENT_TIME);
    for id in ids.iter().skip(5).step_by(10) {
        orders.decide(id, Order::pay).await.unwrap();
    }
}

/// A file that commands are noted in.
pub(crate) fn journal(path: impl AsRef<Path>) -> Arc<File> {
    Arc::new(OpenOptions::new().create(true).append(true).open(path).unwrap())
}

/// Notes a command, and carries it out.
pub(crate) async fn send(dispatch: Dispatch<Fulfilment>, journal: Arc<File>, orders: Log) -> Result<(), HandlerError> {
    // One write, so that a kill leaves a line or none.
    (&*journal).write_all(format!("{}\n", dispatch.id).as_bytes())?;
    carry_out(dispatch, orders).await
}

pub(crate) fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}
