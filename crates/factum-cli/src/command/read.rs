//! `factum read`: prints events, to the end or on and on.

use factum::{AnyStore, Subscription};
use tokio_util::sync::CancellationToken;

use crate::args::{self, Format};
use crate::command::Context;
use crate::exit::Failure;
use crate::selection::Selection;

/// Prints what the filters select.
pub(crate) async fn run(args: args::Read, mut context: Context<'_>) -> Result<(), Failure> {
    if args.follow && context.output.format() == Format::Json {
        return Err(Failure::usage("a JSON document has an end, and --follow has none: choose --format ndjson"));
    }
    let store = context.target.reader().await?.store();
    let selection = Selection::new(&args.filters, &store).await?;
    if args.follow {
        return follow(selection, store, &mut context).await;
    }
    let mut pages = selection.pages(&store);
    let mut count = 0;
    while let Some(events) = pages.next().await? {
        count += events.len();
        context.output.events(&events)?;
    }
    context.output.finish()?;
    if count == 0 {
        context.console.note("no event is selected");
    }
    Ok(())
}

/// Prints what is selected, and what will be, until a signal ends the process or the limit is reached.
async fn follow(selection: Selection, store: AnyStore, context: &mut Context<'_>) -> Result<(), Failure> {
    let Selection { query, range, mut limit, .. } = selection;
    let mut subscription = Subscription::new(store, query, range.after, CancellationToken::new());
    while let Some(mut batch) = subscription.next().await? {
        batch.events.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        context.output.events(&batch.events)?;
        context.output.flush()?;
        limit -= batch.events.len() as u64;
        if limit == 0 {
            break;
        }
    }
    Ok(())
}
