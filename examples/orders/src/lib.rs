//! Orders that are paid for in time are shipped, and the others are cancelled, whatever happens to the program in between.
//!
//! The order says what may happen to it. The fulfilment says what is to be done, and when: it is a process, fed by the events of
//! orders, and its timers are events too.

mod fulfilment;
mod order;

pub use fulfilment::{Command, Fulfilment, FulfilmentEvent, PAYMENT_TIME, carry_out, start};
pub use order::{Order, OrderEvent, Refused};
