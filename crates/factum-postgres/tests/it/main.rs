//! The store and read models on PostgreSQL, at their boundary.

mod archive;
mod balances;
mod contract;
mod inline;
mod kills;
mod pauses;
mod pooler;
mod races;
mod read_models;
mod standby;
mod verify;
mod support;
mod writers;
