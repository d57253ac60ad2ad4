//! `factum backup`: copies the store while it is in use.

use serde::Serialize;

use crate::args;
use crate::command::Context;
use crate::command::copy::copy;
use crate::exit::Failure;
use crate::target::{Opened, Target};

/// What was copied.
#[derive(Serialize)]
struct Copied {
    events: u64,
    segments: u64,
    bytes: u64,
    folder: String,
}

/// Copies, and prints what. Of a database the folder is brought up to date, where it is a copy of the log already.
pub(crate) async fn run(args: args::Backup, mut context: Context<'_>) -> Result<(), Failure> {
    let folder = args.to.display().to_string();
    let (events, segments, bytes) = match context.target.reader().await? {
        Opened::Embedded(store) => {
            let backup = store.backup(&args.to)?;
            (backup.head.get(), backup.segments, backup.bytes)
        }
        Opened::Postgres(_) => {
            copy(&context.target, &Target::Folder(args.to.clone()), &context).await?;
            let verified = factum_embedded::verify(&args.to, None, &mut |_, _| {})?;
            (verified.events, verified.segments, verified.bytes)
        }
    };
    context.output.record(&Copied { events, segments, bytes, folder })
}
