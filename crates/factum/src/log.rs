//! A log: a store with the metadata that goes on every event.
