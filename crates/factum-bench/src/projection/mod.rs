//! The systems that project events into a table, as far as this program has them in it.

pub(crate) mod eventsourced;
pub(crate) mod factum;
pub(crate) mod program;
