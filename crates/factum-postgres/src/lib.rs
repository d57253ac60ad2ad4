//! Factum's event store on PostgreSQL, and read models in PostgreSQL.

#[cfg(feature = "testing")]
pub mod testing;
