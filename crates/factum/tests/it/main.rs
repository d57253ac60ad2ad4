//! The library at its boundary.

mod decisions;
mod derive;
mod memory;
