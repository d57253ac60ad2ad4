//! `factum demo`: the example bank, on a store that stays to be looked at.

use std::error::Error;
use std::io;

use factum::{AppendError, StoreError};

use crate::command::Context;
use crate::exit::{self, Failure};

/// Does the bank's business, and says how to look at it.
pub(crate) async fn run(mut context: Context<'_>) -> Result<(), Failure> {
    context.target.check()?;
    let dir = context.target.folder()?;
    factum_bank::run(dir, context.output.writer()).await.map_err(failure)?;
    context.output.flush()?;
    context.console.note(&format!("Look at it: factum --dir {} read", dir.display()));
    Ok(())
}

/// Whatever kept the example from its end.
fn failure(error: Box<dyn Error + Send + Sync>) -> Failure {
    type Any = Box<dyn Error + Send + Sync>;
    let store = |error: Any| error.downcast().map(|error: Box<StoreError>| Failure::from(*error));
    let append = |error: Any| error.downcast().map(|error: Box<AppendError>| Failure::from(*error));
    let output = |error: Any| error.downcast().map(|error: Box<io::Error>| Failure::from(*error));
    store(error).or_else(append).or_else(output).unwrap_or_else(|error| Failure::failed(exit::chain(&*error)))
}
