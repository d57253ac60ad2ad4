//! Projections: exactly once, whatever fails; and read models that are made again beside themselves.

mod anchors;
mod bank;
mod hooked;
mod contract;
mod failures;
mod kills;
mod leases;
mod outboxes;
mod running;
mod swaps;
