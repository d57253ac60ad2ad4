//! `factum verify`: checks every byte of the store, and that a receipt's past is unchanged.

use factum_embedded::Receipt;
use serde::{Deserialize, Serialize};

use crate::args;
use crate::command::Context;
use crate::exit::Failure;
use crate::input;

/// What was checked.
#[derive(Serialize)]
struct Verified {
    events: u64,
    segments: u64,
    bytes: u64,
    receipt: String,
}

/// Checks, and prints a receipt of all that is there.
pub(crate) fn run(args: args::Verify, mut context: Context<'_>) -> Result<(), Failure> {
    let receipt = args.receipt.map(|text| receipt(&text)).transpose()?;
    context.target.check()?;
    let mut progress = None;
    let verified = factum_embedded::verify(context.target.folder()?, receipt.as_ref(), &mut |done, all| {
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
fn receipt(text: &str) -> Result<Receipt, Failure> {
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
