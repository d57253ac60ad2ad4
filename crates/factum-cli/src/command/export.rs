//! `factum export`: writes events to a file or to stdout.

use std::io::{self, Write};

use ::csv::Writer;
use factum::{AnyStore, RecordedEvent};
use factum_http::CloudEvent;

use crate::args::{self, Format};
use crate::command::Context;
use crate::csv::{self, ENVELOPE};
use crate::destination::Destination;
use crate::exit::Failure;
use crate::members::{Members, cell};
use crate::selection::Selection;

/// Writes what the filters select.
pub(crate) async fn run(args: args::Export, context: Context<'_>) -> Result<(), Failure> {
    let csv = match context.output.asked() {
        None | Some(Format::Ndjson) => false,
        Some(Format::Csv) => true,
        Some(Format::Table | Format::Json) => return Err(Failure::usage("an export is ndjson or csv: choose --format csv, say")),
    };
    if args.envelope && !csv {
        return Err(Failure::usage("--envelope is for CSV: a CloudEvent has all of it already"));
    }
    let store = context.target.reader().await?.store();
    let selection = Selection::new(&args.filters, &store).await?;
    let mut export = Export { store, selection, context, events: 0 };
    let destination = Destination::new(args.output);
    let out = destination.writer()?;
    if csv {
        export.csv(out, args.envelope).await?;
    } else {
        export.lines(out).await?;
    }
    destination.complete()?;
    export.context.console.note(&format!("events exported: {}", export.events));
    Ok(())
}

struct Export<'a> {
    store: AnyStore,
    selection: Selection,
    context: Context<'a>,
    events: u64,
}

impl Export<'_> {
    /// Calls `each` with every event that is selected.
    async fn each(&mut self, mut each: impl FnMut(&RecordedEvent) -> Result<(), Failure>) -> Result<(), Failure> {
        let range = self.selection.range;
        let mut progress = self.context.console.progress(Some(range.through.get().saturating_sub(range.after.get())));
        let mut pages = self.selection.pages(&self.store);
        let mut first = None;
        self.events = 0;
        while let Some(events) = pages.next().await? {
            events.iter().try_for_each(&mut each)?;
            self.events += events.len() as u64;
            if let Some(last) = events.last() {
                let first = first.get_or_insert(last.position.get());
                progress.show(self.events, "events", first.abs_diff(last.position.get()));
            }
        }
        Ok(())
    }

    async fn lines(&mut self, mut out: impl Write) -> Result<(), Failure> {
        self.each(|event| {
            serde_json::to_writer(&mut out, &CloudEvent::from(event)).map_err(io::Error::from)?;
            Ok(out.write_all(b"\n")?)
        })
        .await?;
        Ok(out.flush()?)
    }

    /// Writes a row an event. The columns are all members of the events' data, so the events are read twice: first for those.
    async fn csv(&mut self, out: impl Write, with_envelope: bool) -> Result<(), Failure> {
        let columns = self.columns().await?;
        let envelope = |cells| if with_envelope { cells } else { Vec::new() };
        let mut out = Writer::from_writer(out);
        let header = envelope(ENVELOPE.map(str::to_owned).to_vec());
        if !header.is_empty() || !columns.is_empty() {
            out.write_record(header.iter().chain(&columns)).map_err(io_error)?;
        }
        self.each(|event| {
            let members = members(event)?;
            let cells = columns.iter().map(|column| members.get(column).map(cell).unwrap_or_default());
            let row = envelope(csv::envelope(event).to_vec()).into_iter().chain(cells);
            Ok(out.write_record(row.collect::<Vec<_>>()).map_err(io_error)?)
        })
        .await?;
        Ok(out.flush()?)
    }

    /// The members of all events' data, in the order in which they first appear.
    async fn columns(&mut self) -> Result<Vec<String>, Failure> {
        let mut columns: Vec<String> = Vec::new();
        self.each(|event| {
            let Members(members) = members(event)?;
            // Most events have the members of the one before.
            let same = members.iter().map(|(name, _)| name).eq(&columns);
            for (name, _) in members {
                if !same && !columns.contains(&name) {
                    columns.push(name);
                }
            }
            Ok(())
        })
        .await?;
        Ok(columns)
    }
}

/// The members of an event's data.
fn members(event: &RecordedEvent) -> Result<Members<'_>, Failure> {
    Members::of(&event.payload.data).ok_or_else(|| {
        let message = format!("the event at position {} cannot be a CSV row: its data is no JSON object", event.position);
        Failure::failed(message).hint("export as CloudEvents with --format ndjson, or select other events with --type")
    })
}

fn io_error(error: ::csv::Error) -> io::Error {
    match error.into_kind() {
        ::csv::ErrorKind::Io(error) => error,
        other => io::Error::other(format!("{other:?}")),
    }
}
