//! Mistakes: all that are found are told, so that one compilation shows them all.

use syn::{Error, Result};

/// The values, or every mistake among them.
pub(crate) fn all<T>(results: impl IntoIterator<Item = Result<T>>) -> Result<Vec<T>> {
    let mut values = Ok(Vec::new());
    for result in results {
        values = both(values, result).map(|(mut values, value)| {
            values.push(value);
            values
        });
    }
    values
}

/// Two values, or the mistakes of both.
pub(crate) fn both<A, B>(a: Result<A>, b: Result<B>) -> Result<(A, B)> {
    match (a, b) {
        (Ok(a), Ok(b)) => Ok((a, b)),
        (Err(mistake), Ok(_)) | (Ok(_), Err(mistake)) => Err(mistake),
        (Err(first), Err(second)) => Err(combined(first, second)),
    }
}

fn combined(mut first: Error, second: Error) -> Error {
    first.combine(second);
    first
}
