//! The store and read models on PostgreSQL, at their boundary.

mod contract;
mod support;
