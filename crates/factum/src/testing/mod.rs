//! The test kit: rules of a domain, stores against their laws.

mod given;
mod clock;
pub use clock::ManualClock;
pub mod store;
