//! Factum's event store on PostgreSQL, and read models in PostgreSQL.
//!
//! ```no_run
//! # async fn run() -> Result<(), factum::StoreError> {
//! let store = factum_postgres::open("postgres://factum@localhost:5432/shop").await?;
//! let log = factum::Log::new(store);
//! # Ok(())
//! # }
//! ```
//! Any number of processes write to a log at once. Each merges the appends that wait in it into one call of a function of the
//! database, which takes the log's turn, checks them, gives them their positions and records them: so positions are without gaps
//! and in the order of commits, and a reader that has seen one has seen all below it.

// A database.
mod error;
mod servers;
mod migrations;
mod logs;

// An append enters.
mod batch;
mod pace;
mod call;
mod answer;
mod inline;
mod sequencer;

// It is read.
mod rows;
mod reader;
mod standby;
mod changes;

// It is kept.
mod verify;

// The whole.
mod options;
mod store;

// Read models.
mod names;
mod read_tx;
mod read_db;

#[cfg(feature = "testing")]
pub mod testing;

use factum::StoreError;

pub use logs::{LOG_NAME_BYTES_MAX, Logs, check_log_name};
pub use migrations::SCHEMA_VERSION;
pub use options::{DEFAULT_LOG, Options};
pub use read_db::{PgDb, READ_CONNECTIONS, SWAP_WAIT};
pub use read_tx::PgTx;
pub use store::{OWN_TURN_MAX, PostgresStore};
pub use verify::Verified;

/// Opens the log [`DEFAULT_LOG`] of a database, to write and read: see [`Options::open`].
///
/// # Errors
/// [`StoreError`] where no server can be reached, or its schema is newer than this program.
pub async fn open(url: &str) -> Result<PostgresStore, StoreError> {
    Options::default().open(url).await
}
