//! `factum verify`: checks all of the store, and that a receipt's past is unchanged.

use std::path::Path;

use factum::Store;
use factum_embedded::Receipt;
use serde::{Deserialize, Serialize};

use crate::args;
use crate::command::Context;
use crate::exit::Failure;
use crate::input;
use crate::target::{Opened, Target};

/// What was checked of a folder.
#[derive(Serialize)]
struct Verified {
    events: u64,
    segments: u64,
    bytes: u64,
    receipt: String,
}

/// What was checked of a database.
#[derive(Serialize)]
struct VerifiedLog {
    events: u64,
    archived: u64,
    streams: u64,
}

/// Checks, and prints what.
pub(crate) async fn run(args: args::Verify, context: Context<'_>) -> Result<(), Failure> {
    context.target.check()?;
    match (context.target.clone(), args.receipt) {
        (Target::Folder(dir), receipt) => folder(&dir, receipt, context),
        (Target::Postgres { .. }, None) => database(context).await,
        (Target::Postgres { .. }, Some(_)) => {
            let hint = "copy the log to a folder with `factum backup`, whose receipts show any change";
            Err(Failure::usage("--receipt is for a store in a folder").hint(hint))
        }
    }
}

async fn database(mut context: Context<'_>) -> Result<(), Failure> {
    let Opened::Postgres(store) = context.target.reader().await? else { unreachable!("a database was named") };
    let mut progress = context.console.progress(Some(store.head().await?.get()));
    let verified = store.verify(&mut |done, _| progress.show(done, "events", done)).await;
    drop(progress);
    let factum_postgres::Verified { events, archived, streams } = verified?;
    context.output.record(&VerifiedLog { events, archived, streams })
}

/// Checks every byte, and prints a receipt of all that is there.
fn folder(dir: &Path, receipt: Option<String>, mut context: Context<'_>) -> Result<(), Failure> {
    let receipt = receipt.map(|text| read_receipt(&text)).transpose()?;
    let mut progress = None;
    let verified = factum_embedded::verify(dir, receipt.as_ref(), &mut |done, all| {
        progress.get_or_insert_with(|| context.console.progress(Some(all))).show(done, "bytes", done);
    });
    drop(progress);
    let verified = verified.map_err(|error| context.target.missing(error))?;
    context.output.record(&Verified {
        events: verified.events,
        segments: verified.segments,
        bytes: verified.bytes,
        receipt: verified.receipt.to_string(),
    })
}

/// A receipt: its line, or what `verify` printed with it.
fn read_receipt(text: &str) -> Result<Receipt, Failure> {
    #[derive(Deserialize)]
    struct Printed {
        receipt: String,
    }
    let text = input::argument(text)?;
    let line = serde_json::from_str(&text).map_or(text, |printed: Printed| printed.receipt);
    line.trim().parse().map_err(|error| {
        let hint = "a receipt is the line that `factum verify` prints as `receipt`; keep its output, and give it back with @FILE";
        Failure::usage(format!("--receipt: {error}")).hint(hint)
    })
}
