//! Read models in SQLite, at their boundary.

mod contract;
