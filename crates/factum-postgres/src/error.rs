//! What PostgreSQL says, as a store's error: what its caller can do about it.

use factum::{StoreError, StoreErrorKind};

/// The error of something that was tried with the database.
pub(crate) fn failed(what: &str) -> impl FnOnce(sqlx::Error) -> StoreError {
    let what = what.to_owned();
    move |error| {
        let (kind, advice) = kind(&error);
        StoreError::new(kind, format!("cannot {what}: {advice}")).caused_by(error)
    }
}

/// SQLSTATEs: <https://www.postgresql.org/docs/current/errcodes-appendix.html>. Those that begin with FA are Factum's own.
fn kind(error: &sqlx::Error) -> (StoreErrorKind, String) {
    use StoreErrorKind::{Corrupt, Full, Invalid, NotFound, ReadOnly, Unavailable, UnknownOutcome, Unsupported};
    if is_unreadable(error) {
        return (UnknownOutcome, format!("the database's answer cannot be read: {error}"));
    }
    if is_away(error) {
        return (Unavailable, format!("the database does not answer: {error}"));
    }
    let Some(code) = code(error) else { return (Invalid, error.to_string()) };
    let (kind, advice) = match &code[..] {
        "FA001" => (NotFound, "the log is dropped: create it, and open it again"),
        "FA003" => (Invalid, "the transaction must be READ COMMITTED: begin it so"),
        "FA005" => (NotFound, "attach the archive"),
        "FA006" => (Invalid, "it cannot be archived or attached"),
        "FA004" => (Unsupported, "append with a program that keeps the same read models inline"),
        READ_ONLY => (ReadOnly, "the server or the database is read-only: connect to the primary, and to a database that is not"),
        "25P02" => (Invalid, "a statement before it failed, and was passed over: have that one not fail, as ON CONFLICT does"),
        "28000" | "28P01" => (Invalid, "the server lets this user not in: mend the user or the password in the URL"),
        "26000" | "42P05" => (
            Unsupported,
            "a pooler shares the connection by transactions and keeps no prepared statements: have it keep them, as PgBouncer \
             does from 1.21 with max_prepared_statements, or share by sessions",
        ),
        "3D000" => (NotFound, "there is no such database: create it"),
        "42501" => (ReadOnly, "this user may not: grant it the right"),
        "53100" => (Full, "the disk of the server is full: free some space"),
        "53300" => (Unavailable, "the server has too many connections"),
        "55P03" => (Unavailable, "another transaction has it: see that it ends"),
        "57014" => (Unavailable, "it took longer than statement_timeout allows"),
        "42P01" | "42883" | "42703" | "3F000" => {
            (Unsupported, "the schema factum is not there, or of another version: run `factum migrate`")
        }
        "XX001" | "XX002" => (Corrupt, "the database is damaged: restore it from a backup"),
        code if is_lost_code(code) || is_retry_code(code) => (Unavailable, "the server gave up on it"),
        _ => (Invalid, "PostgreSQL refuses it"),
    };
    (kind, format!("{advice} ({error})"))
}

/// Whether the connection is gone, or leads to a server that is not the primary any more.
pub(crate) fn is_lost(error: &sqlx::Error) -> bool {
    match code(error) {
        Some(code) => is_lost_code(&code) || code == READ_ONLY,
        // Where all connections are in use, more of them would make it worse.
        None => is_away(error) && !matches!(error, sqlx::Error::PoolTimedOut),
    }
}

/// Whether the server answered that it takes nothing: then it recorded nothing.
pub(crate) fn is_read_only(error: &sqlx::Error) -> bool {
    code(error).as_deref() == Some(READ_ONLY)
}

/// Whether there is no answer of the database's. Others that have no code are of the statement, or of what was made of its rows.
fn is_away(error: &sqlx::Error) -> bool {
    use sqlx::Error::{Io, PoolClosed, PoolTimedOut, Protocol, Tls, WorkerCrashed};
    matches!(error, Io(_) | Tls(_) | Protocol(_) | PoolTimedOut | PoolClosed | WorkerCrashed)
}

fn is_unreadable(error: &sqlx::Error) -> bool {
    matches!(error, sqlx::Error::Decode(_) | sqlx::Error::ColumnDecode { .. })
}

const READ_ONLY: &str = "25006";

fn is_lost_code(code: &str) -> bool {
    code.starts_with("08") || code.starts_with("57P")
}

/// A deadlock, or a transaction that has to be tried again.
fn is_retry_code(code: &str) -> bool {
    code.starts_with("40") || code.starts_with("53") || code == "25P03"
}

/// Whether another transaction made what it was about to make, where it had to look whether it is there.
pub(crate) fn is_made(error: &sqlx::Error) -> bool {
    code(error).as_deref() == Some("23505")
}

/// Whether a table is not there, or its schema.
pub(crate) fn is_missing(error: &sqlx::Error) -> bool {
    matches!(code(error).as_deref(), Some("42P01" | "3F000"))
}

/// Whether another transaction has what it waited for.
pub(crate) fn is_waiting(error: &sqlx::Error) -> bool {
    code(error).as_deref() == Some("55P03")
}

fn code(error: &sqlx::Error) -> Option<String> {
    Some(error.as_database_error()?.code()?.into_owned())
}

/// Whether it may be none when it is tried again.
pub(crate) fn is_transient(error: &sqlx::Error) -> bool {
    kind(error).0 == StoreErrorKind::Unavailable
}
