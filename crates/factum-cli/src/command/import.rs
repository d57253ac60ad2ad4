//! `factum import`: records the events of a file, and nothing twice however often it is run.

use std::collections::HashMap;
use std::path::Path;
use std::time::Instant;

use factum::{AnyStore, Append, AppendError, EventId, NewEvent, Position, Query, Range, Read, Scope, Store, StreamName, limits};
use serde::Serialize;

use crate::args;
use crate::cloud_event;
use crate::command::Context;
use crate::csv::Rows;
use crate::exit::{Exit, Failure};
use crate::input::{self, Lines};

/// A batch is full after this many bytes of data, too: half of what an append may have.
const BATCH_BYTES: usize = limits::APPEND_BYTES_MAX / 2;

/// What an import did.
#[derive(Serialize)]
struct Imported {
    events: u64,
    recorded: u64,
    recorded_before: u64,
    head: u64,
}

/// Records what is not recorded yet, a batch at a time.
pub(crate) async fn run(args: args::Import, mut context: Context<'_>) -> Result<(), Failure> {
    let started = Instant::now();
    let (mut source, bytes) = Source::open(&args)?;
    let opened = context.target.writer().await?;
    let store = opened.store();
    let mut importer = Importer { head: store.head().await?, store, events: 0, recorded: 0 };
    let mut progress = context.console.progress(bytes);
    loop {
        let batch = source.batch(args.batch).map_err(|failure| importer.so_far(failure))?;
        if batch.is_empty() {
            break;
        }
        importer.record(batch).await.map_err(|failure| importer.so_far(failure))?;
        progress.show(importer.events, "events", source.bytes());
        context.console.detail(&format!("events imported: {}", importer.events));
    }
    drop(progress);
    let Importer { events, recorded, head, .. } = importer;
    opened.close().await;
    context.output.record(&Imported { events, recorded, recorded_before: events - recorded, head: head.get() })?;
    context.console.detail(&format!("{:.1} s", started.elapsed().as_secs_f64()));
    Ok(())
}

/// Where the events come from.
enum Source {
    Lines(Lines),
    Rows(Box<Rows>),
}

impl Source {
    fn open(args: &args::Import) -> Result<(Self, Option<u64>), Failure> {
        let name = input::name(&args.file);
        let (input, bytes) = input::open(&args.file)?;
        if args.csv || args.file.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("csv")) {
            let import = args.source.clone().unwrap_or_else(|| import_name(&args.file));
            return Ok((Self::Rows(Box::new(Rows::new(input, name, &import, &args.columns)?)), bytes));
        }
        let columns = &args.columns;
        let named = [&columns.stream, &columns.event_type, &columns.time, &columns.actor, &args.source];
        if named.iter().any(|column| column.is_some()) || columns.category.is_some() || !columns.tags.is_empty() {
            let message = format!("{name} is read as CloudEvents, which have no columns and their own ids");
            return Err(Failure::usage(message).hint("add --csv where it is a CSV file"));
        }
        Ok((Self::Lines(Lines::new(input, name)), bytes))
    }

    fn bytes(&self) -> u64 {
        match self {
            Self::Lines(lines) => lines.bytes(),
            Self::Rows(rows) => rows.bytes(),
        }
    }

    /// The next events: as many as asked for, or as their bytes allow.
    fn batch(&mut self, events_max: u64) -> Result<Vec<NewEvent>, Failure> {
        let (mut batch, mut bytes) = (Vec::new(), 0);
        while (batch.len() as u64) < events_max && bytes < BATCH_BYTES {
            let Some(event) = self.next()? else { break };
            bytes += event.payload.data.len() + event.metadata.text_bytes();
            batch.push(event);
        }
        Ok(batch)
    }

    fn next(&mut self) -> Result<Option<NewEvent>, Failure> {
        match self {
            Self::Rows(rows) => rows.next(),
            Self::Lines(lines) => cloud_event::next(lines, None),
        }
    }
}

/// The name of an import is its file's, wherever that is.
fn import_name(file: &Path) -> String {
    file.file_name().unwrap_or(file.as_os_str()).to_string_lossy().into_owned()
}

/// The store, and what became of the events so far.
struct Importer {
    store: AnyStore,
    head: Position,
    events: u64,
    recorded: u64,
}

impl Importer {
    /// Records those of a batch that are not recorded yet, all of them or none.
    async fn record(&mut self, mut batch: Vec<NewEvent>) -> Result<(), Failure> {
        let count = batch.len() as u64;
        // A batch that is recorded as it is costs one lookup: the store answers the repeat. Otherwise part of it may be,
        // from an import with batches of another size.
        match self.store.append(Append::new(batch.clone())).await {
            Ok(appended) => self.recorded_through(appended.positions),
            Err(AppendError::IdTaken { .. }) => {
                let before = self.recorded_before(&batch).await?;
                check_streams(&batch, &before)?;
                batch.retain(|event| !before.contains_key(&event.id));
                if !batch.is_empty() {
                    let appended = self.store.append(Append::new(batch)).await?;
                    self.recorded_through(appended.positions);
                }
            }
            Err(error) => return Err(error.into()),
        }
        self.events += count;
        Ok(())
    }

    /// Counts what is new: a repeat is answered with positions up to the head that was there before.
    fn recorded_through(&mut self, positions: Range) {
        if self.head < positions.through {
            self.recorded += positions.through.get() - positions.after.get();
            self.head = positions.through;
        }
    }

    /// Those of the events that are recorded, with their streams.
    async fn recorded_before(&self, batch: &[NewEvent]) -> Result<HashMap<EventId, StreamName>, Failure> {
        let mut recorded = HashMap::new();
        for part in batch.chunks(limits::SELECTORS_MAX) {
            let query = part.iter().fold(Query::none(), |query, event| query.or(Scope::Event(event.id).into()));
            let mut range = Some(Range::ALL);
            while let Some(part) = range {
                let page = self.store.read(Read::new(query.clone()).range(part)).await?;
                recorded.extend(page.events.into_iter().map(|event| (event.id, event.stream)));
                range = page.rest;
            }
        }
        Ok(recorded)
    }

    /// A failure, with what is recorded all the same.
    fn so_far(&self, failure: Failure) -> Failure {
        if self.events == 0 {
            return failure;
        }
        let goes_on =
            format!("the {} events before it are recorded; run the import again, and it goes on from there", self.events);
        let hint = failure.hint.as_ref().map_or(goes_on.clone(), |hint| format!("{hint}\n      {goes_on}"));
        failure.hint(hint)
    }
}

/// Refuses an event whose id is recorded in another stream: it is not the same event.
fn check_streams(batch: &[NewEvent], before: &HashMap<EventId, StreamName>) -> Result<(), Failure> {
    let moved = batch.iter().find_map(|event| Some((event, before.get(&event.id).filter(|stream| **stream != event.stream)?)));
    match moved {
        None => Ok(()),
        Some((event, stream)) => {
            let message = format!("event {} is recorded already, in stream {stream} and not in {}", event.id, event.stream);
            let hint =
                "the file was imported into other streams before: to record its events again, name the import with --source";
            Err(Failure::new(Exit::Conflict, message).hint(hint))
        }
    }
}
