//! Events over HTTP.
//!
//! [`cloud_event`] is how an event looks outside of a store: a CloudEvent in JSON.

pub mod cloud_event;
pub use cloud_event::CloudEvent;
