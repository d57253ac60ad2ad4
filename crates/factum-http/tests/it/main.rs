//! Webhooks, delivered to real receivers on this machine.

mod receiver;

mod making;
mod delivering;
mod failing;
mod verifying;
mod tls;
mod outbox;
