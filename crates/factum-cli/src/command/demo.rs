//! `factum demo`: the example bank, on a store that stays to be looked at.

use std::error::Error;
use std::io::{self, Write};

use factum::{AppendError, FileSnapshots, Log, MemorySnapshots, StoreError};

use crate::command::Context;
use crate::exit::{self, Failure};
use crate::target::Target;

/// Does the bank's business, and says how to look at it.
pub(crate) async fn run(mut context: Context<'_>) -> Result<(), Failure> {
    let opened = context.target.writer().await?;
    let (log, out) = (Log::new(opened.store()), context.output.writer());
    let place = match &context.target {
        Target::Folder(dir) => {
            writeln!(out, "The log is in {}.", dir.display())?;
            factum_bank::run(log, FileSnapshots::new(dir.join("snapshots"))?, out).await.map_err(failure)?;
            let verified = factum_embedded::verify(dir, None, &mut |_, _| {})?;
            writeln!(out, "Verified: {} events, {} bytes.", verified.events, verified.bytes)?;
            format!("--dir {}", dir.display())
        }
        Target::Postgres { log: name, .. } => {
            // Snapshots are for speed: without those of another day it is the same.
            factum_bank::run(log, MemorySnapshots::new(), out).await.map_err(failure)?;
            format!("--store URL --log {name}")
        }
    };
    writeln!(out, "Run it again, and its history goes on.")?;
    opened.close().await;
    context.output.flush()?;
    context.console.note(&format!("Look at it: factum {place} read"));
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
