//! `factum backup`: copies the store while it is in use.

use serde::Serialize;

use crate::args;
use crate::command::Context;
use crate::exit::Failure;

/// What was copied.
#[derive(Serialize)]
struct Copied {
    events: u64,
    segments: u64,
    bytes: u64,
    folder: String,
}

/// Copies, and prints what.
pub(crate) fn run(args: &args::Backup, mut context: Context<'_>) -> Result<(), Failure> {
    let backup = context.target.folder_reader()?.backup(&args.to)?;
    context.output.record(&Copied {
        events: backup.head.get(),
        segments: backup.segments,
        bytes: backup.bytes,
        folder: args.to.display().to_string(),
    })
}
