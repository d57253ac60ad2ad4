//! The library at its boundary.

mod controls;
mod decisions;
mod derive;
mod groups;
mod memory;
mod processes;
mod projections;
mod watched;
