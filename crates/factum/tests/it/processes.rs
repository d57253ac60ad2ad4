//! Processes, on a store in memory.

mod fulfilment;
mod kills;
mod kit;
mod quarantine;
mod races;
mod running;
mod timers;
