//! Read models in SQLite: the tables of a projection are the user's own, and so are the queries.
//!
//! A projection names its tables in braces, so that a new version of it can be filled beside the live one; queries use the plain
//! names, which always mean the live one.
//! ```
//! use factum::{Aggregate, Event, HandlerError, Log, MemoryStore, Projection, TypedEvent};
//! use factum_sqlite::{SqliteDb, SqliteTx};
//! # use std::{convert::Infallible, time::Duration};
//! # #[derive(Clone, Default)]
//! # struct Account;
//! # impl Aggregate for Account {
//! #     const CATEGORY: &'static str = "account";
//! #     type Id = String;
//! #     type Event = AccountEvent;
//! #     fn apply(&mut self, _event: &AccountEvent) {}
//! # }
//!
//! #[derive(Event)]
//! #[event(prefix = "Account")]
//! enum AccountEvent {
//!     Deposited { cents: i64 },
//!     Withdrawn { cents: i64 },
//! }
//!
//! struct Balances;
//!
//! impl Projection for Balances {
//!     const NAME: &'static str = "balances";
//!     const VERSION: u32 = 1; // another one, and the tables are made again beside these
//!     type Events = AccountEvent;
//!     type Db = SqliteDb;
//!
//!     async fn create(&self, tx: &mut SqliteTx) -> Result<(), HandlerError> {
//!         let table = tx.query("CREATE TABLE {accounts} (account TEXT PRIMARY KEY, cents INTEGER NOT NULL)");
//!         table.execute(tx.connection()).await?;
//!         Ok(())
//!     }
//!
//!     async fn apply(&self, tx: &mut SqliteTx, event: &TypedEvent<AccountEvent>) -> Result<(), HandlerError> {
//!         let change = match event.data {
//!             AccountEvent::Deposited { cents } => cents,
//!             AccountEvent::Withdrawn { cents } => -cents,
//!         };
//!         tx.query("INSERT INTO {accounts} VALUES (?1, ?2) ON CONFLICT (account) DO UPDATE SET cents = cents + ?2")
//!             .bind(event.stream.to_string())
//!             .bind(change)
//!             .execute(tx.connection())
//!             .await?;
//!         Ok(())
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let shutdown = tokio_util::sync::CancellationToken::new();
//! let log = Log::new(MemoryStore::new());
//! let db = SqliteDb::temporary().await?; // or SqliteDb::open("./read.sqlite")
//! let running = log.project(Balances, db.clone()).start(&shutdown).await?;
//!
//! let (accounts, id) = (log.repository::<Account>(), "42".to_owned());
//! let events = || Ok::<_, Infallible>(vec![AccountEvent::Deposited { cents: 50 }, AccountEvent::Withdrawn { cents: 20 }]);
//! accounts.decide(&id, |_| events()).await?;
//! running.wait_for(log.head().await?, Duration::from_secs(10)).await?; // read your own writes
//! let cents: i64 = sqlx::query_scalar("SELECT cents FROM accounts WHERE account = 'account-42'").fetch_one(db.pool()).await?;
//! assert_eq!(cents, 30);
//! # shutdown.cancel();
//! # running.ended().await;
//! # Ok(())
//! # }
//! ```

mod db;
mod error;
mod names;
mod tx;

pub use db::{BUSY_TIMEOUT, READERS_MAX, SqliteDb};
pub use tx::SqliteTx;

/// The README's examples are tested like these.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;
