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
//!
//! - **Several hosts** in the URL, divided by commas, are a primary with its standbys: appends follow the primary, and where one
//!   fails, what was acknowledged is kept as far as the servers keep it, which synchronous standbys do
//!   ([`Options::patience`]). Subscriptions may read from standbys ([`Options::standbys`]).
//! - **Many logs** share a database, and nothing else: [`Options::log`], [`Logs`].
//! - **Other tables** change with an append in one transaction of yours: [`PostgresStore::append_in`], which says what it costs.
//! - **Read models** follow in tables beside the log ([`PgDb`]), or are changed by the append itself ([`Options::inline`]).
//! - **Old events** are detached as tables of their own, to be dumped and dropped, and attached again: [`Logs::detach_oldest`]. A
//!   partition takes ten million positions; `ALTER DATABASE … SET factum.partition_span` says otherwise before the first open.
//! - **A pooler** that shares connections by transactions has to keep prepared statements, as PgBouncer does from 1.21 with
//!   `max_prepared_statements`. Give read models, and who listens, a URL without it where you can.
//!
//! # Rights
//!
//! Who opens a database for the first time makes the schema `factum`, and [`PgDb`] the schema `factum_read` and one for each
//! read model: that takes the right to create in the database. After that, a role that appends and reads needs `USAGE` on
//! the schema `factum` and `SELECT`, `INSERT`, `UPDATE` and `DELETE` on its tables, and one that only reads `SELECT`. A trigger
//! refuses whoever changes or deletes events; but a role that may append can also insert rows by hand, past all checks, so let
//! nobody but programs have it. [`PostgresStore::verify`] finds what does not fit together.

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
