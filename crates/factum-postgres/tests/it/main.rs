//! The store and read models on PostgreSQL, at their boundary.

mod archive;
mod balances;
mod contract;
mod inline;
mod kills;
mod pages;
mod pauses;
mod pooler;
mod races;
mod read_models;
mod settings;
mod standby;
mod verify;
mod waits;
mod support;
mod writers;
