//! The library at its boundary.

mod controls;
mod decisions;
mod derive;
mod memory;
mod projections;
