//! Factum's event store on local disk: one folder, one writer, any number of readers.
//!
//! Events live in *segments*, files of checksummed frames, one frame an append. They are the only truth. One thread takes the
//! appends that wait, checks them, writes them as one batch and makes it durable with one sync. The *index* finds events by
//! stream, category, type, tag, correlation and cause; all of it is derived from the segments and can be deleted.
//!
//! ```
//! # tokio::runtime::Runtime::new().unwrap().block_on(async {
//! use factum::{Append, Expected, NewEvent, Payload, Query, Read, Store, StreamName};
//! # let path = std::env::temp_dir().join(format!("factum-doc-{}", std::process::id()));
//!
//! let store = factum_embedded::open(&path)?;
//! let stream: StreamName = "account-42".parse()?;
//! let opened = NewEvent::new(stream.clone(), "AccountOpened", Payload::json(r#"{"owner":"ann"}"#))?;
//! store.append(Append::new(vec![opened]).expect(stream.clone(), Expected::NO_STREAM)).await?;
//! assert_eq!(store.read(Read::new(Query::stream(stream))).await?.events.len(), 1);
//! store.close();
//! # std::fs::remove_dir_all(path)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # }).unwrap();
//! ```
//! It needs no runtime. Under tokio's, a read that has to wait for the disk waits on a thread for that.

// What a file is.
pub mod disk;
mod folder;
mod format;
mod error;

// The log.
mod segment;
mod scan;
mod head;
mod tail;
mod log;
mod recovery;

// The index.
mod index;
mod indexer;

// An append enters.
mod queue;
mod admission;
mod writer;

// It is read.
mod reader;
mod streams;
mod follower;

// It is kept.
mod receipt;
mod verify;
mod backup;

// The whole.
mod options;
mod store;

// It is broken on purpose.
#[cfg(feature = "simulation")]
pub mod simulation;
#[cfg(feature = "simulation")]
#[doc(hidden)]
pub mod fuzz;

pub use backup::Backup;
pub use options::Options;
pub use receipt::{Receipt, ReceiptError};
pub use store::{EmbeddedStore, Stats};
pub use verify::{Verified, verify, verify_on};

use std::path::Path;

use factum::StoreError;

/// Opens the store of a folder to write and read; creates it where there is none. See [`Options::open`].
///
/// # Errors
/// As [`Options::open`].
pub fn open(path: impl AsRef<Path>) -> Result<EmbeddedStore, StoreError> {
    Options::default().open(path)
}

/// Opens the store of a folder to read. See [`Options::open_read_only`].
///
/// # Errors
/// As [`Options::open_read_only`].
pub fn open_read_only(path: impl AsRef<Path>) -> Result<EmbeddedStore, StoreError> {
    Options::default().open_read_only(path)
}
