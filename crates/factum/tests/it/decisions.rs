//! Aggregates, boundaries, snapshots and the past, on a store in memory.

mod account;
mod aggregates;
mod boundaries;
mod courses;
mod kit;
mod once;
mod past;
mod races;
mod snapshots;
mod stubborn;
