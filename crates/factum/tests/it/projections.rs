//! Projections: exactly once, whatever fails; and read models that are made again beside themselves.

mod bank;
mod failures;
mod leases;
mod running;
mod swaps;
