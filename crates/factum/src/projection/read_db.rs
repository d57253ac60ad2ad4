//! A read database: where read models are kept, each beside the records that say how far it got.

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::str::FromStr;

use crate::{StoreError, StoreErrorKind, Timestamp};

/// A database that keeps read models: the boundary between the projections' runtime above and the databases below.
///
/// To the database a read model is some tables, named after it, and some *records*: short texts by key, which hold checkpoints,
/// leases, parked events and what is asked of the runtime. An implementor keeps four laws, and proves it with
/// [`testing::read_db`](crate::testing::read_db):
/// - what a transaction did to tables and records is kept whole when it commits, and not at all otherwise;
/// - [`replace`](ReadDb::replace) compares and writes in one step: of two transactions that replace one value, one does, and the
///   other sees `false`, or fails and can be tried again;
/// - [`publish`](ReadDb::publish) changes what the live names mean in the transaction's commit: a reader sees the old tables or
///   the new ones, and never neither;
/// - [`now`](ReadDb::now) is the same clock for every process.
pub trait ReadDb: Clone + Send + Sync + 'static {
    /// A transaction on the tables of one read model. Dropped, it changes nothing.
    type Tx: Send + 'static;

    /// Begins a transaction on the tables of a read model, which may not be there yet. It waits for others, within a bound.
    ///
    /// # Errors
    /// [`StoreError`] where the database cannot be reached, or not be written to.
    fn begin(&self, model: &ReadModelName) -> impl Future<Output = Result<Self::Tx, StoreError>> + Send;

    /// Keeps all that the transaction did.
    ///
    /// # Errors
    /// [`StoreError`]; where its kind is [`UnknownOutcome`](StoreErrorKind::UnknownOutcome) it may have been kept.
    fn commit(&self, tx: Self::Tx) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// The value of a record, as the transaction sees it.
    ///
    /// # Errors
    /// [`StoreError`] where the database cannot be read.
    fn record(&self, tx: &mut Self::Tx, key: &str) -> impl Future<Output = Result<Option<String>, StoreError>> + Send;

    /// Puts `new` in the place of a record's value, if that is `old`; `None` is no record. Whether it did.
    ///
    /// # Errors
    /// [`StoreError`] where the database cannot be written to.
    fn replace(
        &self,
        tx: &mut Self::Tx,
        key: &str,
        old: Option<&str>,
        new: Option<&str>,
    ) -> impl Future<Output = Result<bool, StoreError>> + Send;

    /// The records, as committed, whose keys begin with `prefix` and stand after `after`, in the order of their keys' bytes; at
    /// most `limit`.
    ///
    /// # Errors
    /// [`StoreError`] where the database cannot be read.
    fn records(&self, prefix: &str, after: &str, limit: usize) -> impl Future<Output = Result<Vec<Record>, StoreError>> + Send;

    /// From the commit on, the tables of the transaction's read model are the live ones of its projection: their plain names
    /// mean them.
    ///
    /// # Errors
    /// [`StoreError`]; of kind [`Invalid`](StoreErrorKind::Invalid) where such a name is something else's.
    fn publish(&self, tx: &mut Self::Tx) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Drops the tables of the transaction's read model, live names that mean them included. There may be none.
    ///
    /// # Errors
    /// [`StoreError`] where the database cannot be written to.
    fn drop_tables(&self, tx: &mut Self::Tx) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// The database's clock, which leases go by.
    ///
    /// # Errors
    /// [`StoreError`] where the database cannot be reached.
    fn now(&self) -> impl Future<Output = Result<Timestamp, StoreError>> + Send;

    /// Whether a failure of [`apply`](crate::Projection::apply) is the database's, and may be none when it is tried again.
    fn is_transient(error: &(dyn Error + 'static)) -> bool {
        let kind = error.downcast_ref::<StoreError>().map(StoreError::kind);
        kind == Some(StoreErrorKind::Unavailable)
    }
}

/// A record of the runtime.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// What it is about.
    pub key: String,
    /// What it says, as JSON.
    pub value: String,
}

/// The name of a read model: `balances@2` is version 2 of the projection `balances`, and `balances@2.1` that version made again.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReadModelName {
    projection: String,
    version: u32,
    run: u32,
}

/// A text that names no read model.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{text:?} names no read model: write it like balances@2, the projection's name in up to {max} letters, digits, `_` and `-`",
    max = ReadModelName::PROJECTION_BYTES_MAX
)]
pub struct ReadModelNameError {
    text: String,
}

impl ReadModelName {
    /// The longest name of a projection, in bytes: so that with a version and a table it is a name in every database.
    pub const PROJECTION_BYTES_MAX: usize = 32;

    /// The read model that a version of a projection fills first.
    ///
    /// # Errors
    /// [`ReadModelNameError`] where `projection` is no name of one.
    pub fn new(projection: &str, version: u32) -> Result<Self, ReadModelNameError> {
        let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
        if (1..=Self::PROJECTION_BYTES_MAX).contains(&projection.len()) && projection.bytes().all(is_allowed) {
            Ok(Self { projection: projection.to_owned(), version, run: 0 })
        } else {
            Err(ReadModelNameError { text: projection.to_owned() })
        }
    }

    /// The read model that this one is made again as.
    #[must_use]
    pub fn next_run(&self) -> Self {
        Self { run: self.run + 1, ..self.clone() }
    }

    /// The name of the projection that fills it.
    pub fn projection(&self) -> &str {
        &self.projection
    }

    /// The version of that projection.
    pub fn version(&self) -> u32 {
        self.version
    }

    /// How often that version was made again.
    pub fn run(&self) -> u32 {
        self.run
    }
}

impl fmt::Display for ReadModelName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { projection, version, run } = self;
        match run {
            0 => f.pad(&format!("{projection}@{version}")),
            _ => f.pad(&format!("{projection}@{version}.{run}")),
        }
    }
}

impl FromStr for ReadModelName {
    type Err = ReadModelNameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = || ReadModelNameError { text: text.to_owned() };
        let (projection, numbers) = text.split_once('@').ok_or_else(error)?;
        let (version, run) = numbers.split_once('.').unwrap_or((numbers, "0"));
        let version = version.parse().map_err(|_| error())?;
        let run = run.parse().map_err(|_| error())?;
        Ok(Self { run, ..Self::new(projection, version).map_err(|_| error())? })
    }
}

#[cfg(test)]
mod tests {
    use super::ReadModelName;

    #[test]
    fn a_read_model_is_read_back_by_its_name() {
        let first = ReadModelName::new("balances", 2).unwrap();
        for name in [first.next_run().next_run(), first] {
            assert_eq!(name.to_string().parse(), Ok(name));
        }
        for text in ["", "balances", "@2", "balances@", "balances@x", "balances@2.x", "bal ances@2", "a\"b@2", &"a".repeat(33)] {
            assert!(text.parse::<ReadModelName>().is_err(), "{text:?}");
        }
    }
}
