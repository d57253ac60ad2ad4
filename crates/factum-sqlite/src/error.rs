//! What SQLite says, as a store's error: what its caller can do about it.

use factum::{StoreError, StoreErrorKind};

/// The error of something that was tried with the database.
pub(crate) fn failed(what: &str) -> impl FnOnce(sqlx::Error) -> StoreError {
    let what = what.to_owned();
    move |error| {
        let (kind, advice) = kind(&error);
        StoreError::new(kind, format!("cannot {what}: {advice}")).caused_by(error)
    }
}

/// SQLite's primary result code is the low byte of the extended one: <https://sqlite.org/rescode.html>.
fn kind(error: &sqlx::Error) -> (StoreErrorKind, &'static str) {
    match primary_code(error) {
        Some(5 | 6) => (StoreErrorKind::Unavailable, "another process keeps the database locked; it is to be tried again"),
        Some(8) => (StoreErrorKind::ReadOnly, "the database can only be read here: mend its file's permissions"),
        Some(10) => (StoreErrorKind::Unavailable, "the disk fails"),
        Some(11) => (StoreErrorKind::Corrupt, "the database is damaged: delete it, and it is made again from the events"),
        Some(13) => (StoreErrorKind::Full, "there is no space left: free some"),
        Some(14) => (StoreErrorKind::NotFound, "its file cannot be opened: see that its folder exists and can be written to"),
        Some(26) => (StoreErrorKind::Unsupported, "the file is no SQLite database: name another"),
        Some(_) => (StoreErrorKind::Invalid, "SQLite refuses it"),
        None => (StoreErrorKind::Unavailable, "the database does not answer"),
    }
}

pub(crate) fn is_transient(error: &sqlx::Error) -> bool {
    matches!(error, sqlx::Error::PoolTimedOut | sqlx::Error::Io(_)) || matches!(primary_code(error), Some(5 | 6 | 10 | 13))
}

fn primary_code(error: &sqlx::Error) -> Option<u32> {
    let code: u32 = error.as_database_error()?.code()?.parse().ok()?;
    Some(code & 0xff)
}
