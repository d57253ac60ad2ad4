//! What PostgreSQL says, as a store's error: what its caller can do about it.

use factum::{StoreError, StoreErrorKind};

/// The error of something that was tried with the database.
pub(crate) fn failed(what: &str) -> impl FnOnce(sqlx::Error) -> StoreError {
    let what = what.to_owned();
    move |error| StoreError::new(StoreErrorKind::Unavailable, format!("cannot {what}: {error}")).caused_by(error)
}

pub(crate) fn is_transient(error: &sqlx::Error) -> bool {
    !matches!(error, sqlx::Error::Database(_))
}

/// Whether the connection is gone, or leads to a server that is not the primary any more.
pub(crate) fn is_lost(error: &sqlx::Error) -> bool {
    match error.as_database_error().and_then(|error| error.code()) {
        Some(code) => code.starts_with("08") || code.starts_with("57P") || code == "25006",
        None => true,
    }
}
