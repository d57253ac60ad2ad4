//! Read models in SQLite, at their boundary.

mod balances;
mod contract;
mod kills;
mod leases;
mod rebuild;
