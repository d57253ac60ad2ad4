//! What goes to stdout: data, as a table, as JSON, or as one JSON value a line.

use std::io::{self, BufWriter, IsTerminal, Write};

use factum::RecordedEvent;
use factum_http::cloud_event::{self, CloudEvent};
use serde::Serialize;

use crate::args::{Color, Format, Global};
use crate::exit::Failure;
use crate::members::Members;
use crate::table::{self, Table};

/// Stdout, in the user's format. Call [`Output::finish`] at the end.
pub(crate) struct Output {
    out: BufWriter<Box<dyn Write>>,
    asked: Option<Format>,
    format: Format,
    table: Table,
    /// Whether a JSON document has begun.
    begun: bool,
}

/// Whether to colour what goes to a stream.
pub(crate) fn colored(color: Color, stream: &impl anstream::stream::RawStream) -> bool {
    match color {
        Color::Always => true,
        Color::Never => false,
        Color::Auto => anstream::AutoStream::choice(stream) != anstream::ColorChoice::Never,
    }
}

impl Output {
    /// As the flags say: by itself a table on a terminal, and otherwise one value a line.
    pub(crate) fn new(global: &Global) -> Self {
        let stdout = io::stdout();
        let format = global.format.unwrap_or(if stdout.is_terminal() { Format::Table } else { Format::Ndjson });
        let width = if stdout.is_terminal() { terminal_size::terminal_size().map(|(width, _)| width.0.into()) } else { None };
        let table = Table::new(colored(global.color, &stdout), width);
        Self { out: BufWriter::with_capacity(1 << 16, Box::new(stdout)), asked: global.format, format, table, begun: false }
    }

    /// The format that the user asked for.
    pub(crate) fn asked(&self) -> Option<Format> {
        self.asked
    }

    /// The format.
    pub(crate) fn format(&self) -> Format {
        self.format
    }

    /// Prints events.
    pub(crate) fn events(&mut self, events: &[RecordedEvent]) -> Result<(), Failure> {
        match self.format {
            Format::Table => self.rows(&events.iter().map(EventRow::from).collect::<Vec<_>>()),
            _ => self.rows(&events.iter().map(CloudEvent::from).collect::<Vec<_>>()),
        }
    }

    /// Prints some of the rows of a list.
    pub(crate) fn rows<T: Serialize>(&mut self, rows: &[T]) -> Result<(), Failure> {
        if self.format == Format::Table {
            let lines = rows.iter().map(json).collect::<io::Result<Vec<_>>>()?;
            return Ok(self.table.rows(&mut self.out, &lines.iter().map(|line| members(line)).collect::<Vec<_>>())?);
        }
        for row in rows {
            if self.format == Format::Json {
                self.out.write_all(if self.begun { b",\n" } else { b"[\n" })?;
                self.begun = true;
            }
            serde_json::to_writer(&mut self.out, row).map_err(io::Error::from)?;
            if self.format != Format::Json {
                self.out.write_all(b"\n")?;
            }
        }
        Ok(())
    }

    /// Prints the one thing that a command is about.
    pub(crate) fn record(&mut self, record: &impl Serialize) -> Result<(), Failure> {
        match self.format {
            Format::Table => table::record(&mut self.out, &members(&json(record)?))?,
            Format::Json => serde_json::to_writer_pretty(&mut self.out, record).map_err(io::Error::from)?,
            Format::Ndjson | Format::Csv => serde_json::to_writer(&mut self.out, record).map_err(io::Error::from)?,
        }
        if self.format != Format::Table {
            self.out.write_all(b"\n")?;
        }
        Ok(self.out.flush()?)
    }

    /// Prints text as it is.
    pub(crate) fn text(&mut self, text: &str) -> Result<(), Failure> {
        Ok(self.out.write_all(text.as_bytes())?)
    }

    /// For what prints text by itself.
    pub(crate) fn writer(&mut self) -> &mut impl Write {
        &mut self.out
    }

    /// Hands on what was printed so far.
    pub(crate) fn flush(&mut self) -> Result<(), Failure> {
        Ok(self.out.flush()?)
    }

    /// Ends a list.
    pub(crate) fn finish(&mut self) -> Result<(), Failure> {
        if self.format == Format::Json {
            self.out.write_all(if self.begun { b"\n]\n" } else { b"[]\n" })?;
        }
        self.flush()
    }
}

fn json(value: &impl Serialize) -> io::Result<Vec<u8>> {
    Ok(serde_json::to_vec(value)?)
}

fn members(json: &[u8]) -> Members<'_> {
    Members::of(json).expect("rows and records are objects")
}

/// An event in a table.
#[derive(Serialize)]
struct EventRow<'a> {
    position: u64,
    recorded: String,
    stream: &'a str,
    version: u64,
    #[serde(rename = "type")]
    event_type: &'a str,
    data: String,
}

impl<'a> From<&'a RecordedEvent> for EventRow<'a> {
    fn from(event: &'a RecordedEvent) -> Self {
        Self {
            position: event.position.get(),
            recorded: event.recorded_at.to_string(),
            stream: event.stream.as_str(),
            version: event.version.get(),
            event_type: event.event_type.as_str(),
            data: data_text(event),
        }
    }
}

/// JSON as it is, and other data as its type and length.
fn data_text(event: &RecordedEvent) -> String {
    match cloud_event::json_on_a_line(&event.payload) {
        Some(json) => json.get().to_owned(),
        None => format!("{}, {} bytes", event.payload.content_type, event.payload.data.len()),
    }
}
