//! The test kit: rules of a domain, stores and read databases against their laws.

mod given;
pub use given::{Given, GivenEvents, Then, given, given_events};
mod facts;
pub use facts::Fact;
mod snapshot;
pub use snapshot::snapshot_equals_replay;
mod clock;
pub use clock::ManualClock;
mod process;
pub use process::{GivenProcess, given_process};
mod projection;
pub use projection::{project, survives_kills};
pub mod store;
pub mod read_db;
