//! CSV: rows become events, and events rows.

use std::collections::HashSet;
use std::io::BufRead;

use ::csv::{Error, ErrorKind, Reader, StringRecord};
use factum::{Category, EventType, Metadata, NewEvent, Payload, RecordedEvent, StreamName, Tag, Timestamp};
use uuid::Uuid;

use crate::args::Columns;
use crate::exit::Failure;

/// The rows of a CSV file, as events.
pub(crate) struct Rows {
    reader: Reader<Box<dyn BufRead>>,
    mapping: Mapping,
    name: String,
    /// The import, as the namespace of its events' ids.
    namespace: Uuid,
    /// The number of the row, counted from 1 after the header.
    number: u64,
    row: StringRecord,
}

impl Rows {
    /// Reads the header of an opened file, which messages call `name`. Its rows' ids are made within `source`.
    pub(crate) fn new(input: Box<dyn BufRead>, name: String, source: &str, columns: &Columns) -> Result<Self, Failure> {
        let mut reader = Reader::from_reader(input);
        let header = reader.headers().map_err(|error| unreadable(&error).context(&name))?;
        let mapping = Mapping::new(header, columns).map_err(|failure| failure.context(&name))?;
        let namespace = Uuid::new_v5(&Uuid::NAMESPACE_URL, source.as_bytes());
        Ok(Self { reader, mapping, name, namespace, number: 0, row: StringRecord::new() })
    }

    /// How many bytes were read.
    pub(crate) fn bytes(&self) -> u64 {
        self.reader.position().byte()
    }

    /// The event of the next row.
    pub(crate) fn next(&mut self) -> Result<Option<NewEvent>, Failure> {
        let read = self.reader.read_record(&mut self.row);
        if !read.map_err(|error| unreadable(&error).context(place(&self.name, error.position())))? {
            return Ok(None);
        }
        self.number += 1;
        let event = self.mapping.event(&self.row, self.number, &self.namespace);
        event.map(Some).map_err(|failure| failure.context(place(&self.name, self.row.position())))
    }
}

fn place(name: &str, position: Option<&::csv::Position>) -> String {
    position.map_or(name.to_owned(), |position| format!("{name}, line {}", position.line()))
}

fn unreadable(error: &Error) -> Failure {
    match error.kind() {
        ErrorKind::UnequalLengths { expected_len, len, .. } => {
            Failure::failed(format!("the row has {len} columns, and the header has {expected_len}"))
                .hint("mend the row (a comma in a value stands between quotes), then run the import again: it goes on from there")
        }
        ErrorKind::Utf8 { err, .. } => Failure::failed(format!("column {} is not UTF-8", err.field() + 1))
            .hint("convert the file to UTF-8 first, with iconv say"),
        ErrorKind::Io(error) => Failure::failed(error.to_string()),
        _ => Failure::failed(error.to_string()),
    }
}

/// What the columns mean, by their places in a row.
struct Mapping {
    /// The columns' names, written as JSON.
    members: Vec<String>,
    stream: usize,
    category: Option<Category>,
    event_type: usize,
    time: Option<usize>,
    time_zone: Option<String>,
    actor: Option<usize>,
    tags: Vec<(String, usize)>,
}

impl Mapping {
    fn new(header: &StringRecord, columns: &Columns) -> Result<Self, Failure> {
        let mut names = HashSet::new();
        if let Some(twice) = header.iter().find(|name| !names.insert(*name)) {
            return Err(Failure::failed(format!("column {twice:?} stands twice in the header: rename one of them")));
        }
        let place = |flag: &str, column: &str| find(header, column).ok_or_else(|| no_column(header, flag, column));
        let optional = |flag: &str, column: &Option<String>| column.as_ref().map(|column| place(flag, column)).transpose();
        let required = |flag: &str, column| {
            optional(flag, column)?
                .ok_or_else(|| Failure::usage(format!("a CSV file needs {flag} COLUMN")).hint(available(header)))
        };
        Ok(Self {
            members: header.iter().map(json).collect(),
            stream: required("--stream", &columns.stream)?,
            category: columns.category.clone(),
            event_type: required("--type", &columns.event_type)?,
            time: optional("--time", &columns.time)?,
            time_zone: columns.time_zone.clone(),
            actor: optional("--actor", &columns.actor)?,
            tags: columns.tags.iter().map(|tag| tag_column(header, tag)).collect::<Result<_, _>>()?,
        })
    }

    /// The event of a row. Its id follows from the row, so that the same row of the same import is the same event.
    fn event(&self, row: &StringRecord, number: u64, namespace: &Uuid) -> Result<NewEvent, Failure> {
        let data = self.data(row);
        let stream = match &self.category {
            Some(category) => format!("{category}-{}", &row[self.stream]),
            None => row[self.stream].to_owned(),
        };
        let present = |column: Option<usize>| column.map(|column| &row[column]).filter(|value| !value.is_empty());
        let time = present(self.time).map(|time| self.time(time)).transpose()?;
        let actor = present(self.actor).map(str::to_owned);
        let tags = self.tags.iter().filter_map(|(key, column)| Some(Tag::of(key, present(Some(*column))?)));
        Ok(NewEvent {
            id: Uuid::new_v5(namespace, format!("{number}:{data}").as_bytes()).into(),
            stream: StreamName::new(stream)?,
            event_type: EventType::new(row[self.event_type].to_owned())?,
            schema: 1,
            tags: tags.collect::<Result<_, _>>()?,
            metadata: Metadata { actor, occurred_at: time, ..Metadata::default() },
            payload: Payload::json(data),
        })
    }

    /// All of the row, as a JSON object of texts, in the order of the columns.
    fn data(&self, row: &StringRecord) -> String {
        let members = self.members.iter().zip(row).map(|(name, value)| format!("{name}:{}", json(value)));
        format!("{{{}}}", members.collect::<Vec<_>>().join(","))
    }

    fn time(&self, text: &str) -> Result<Timestamp, Failure> {
        let in_zone = || self.time_zone.as_ref().and_then(|zone| format!("{text}{zone}").parse().ok());
        text.parse().ok().or_else(in_zone).ok_or_else(|| {
            Failure::failed(format!("{text:?} is no point in time: write it like 2026-11-23T09:30:00Z, offset included"))
                .hint("where the times of the file name no offset, say which one it is: --time-zone utc, or --time-zone +02:00")
        })
    }
}

fn json(text: &str) -> String {
    serde_json::to_string(text).expect("a text is JSON")
}

fn find(header: &StringRecord, column: &str) -> Option<usize> {
    header.iter().position(|name| name == column)
}

fn no_column(header: &StringRecord, flag: &str, column: &str) -> Failure {
    Failure::usage(format!("there is no column {column:?} for {flag}")).hint(available(header))
}

fn available(header: &StringRecord) -> String {
    format!("the columns are {}", header.iter().collect::<Vec<_>>().join(", "))
}

/// `COLUMN` or `KEY=COLUMN`, as a tag's key and a place. A column's whole name goes first, as it may have a `=` in it.
fn tag_column(header: &StringRecord, tag: &str) -> Result<(String, usize), Failure> {
    let (key, column) = match (find(header, tag), tag.split_once('=')) {
        (None, Some((key, column))) => (key, column),
        _ => (tag, tag),
    };
    let place = find(header, column).ok_or_else(|| no_column(header, "--tag", column))?;
    if key.is_empty() || key.contains(':') {
        let message = format!("{key:?} is no key of a tag: it is empty, or has a colon");
        return Err(Failure::usage(message).hint(format!("name a key: --tag KEY={column}")));
    }
    Ok((key.to_owned(), place))
}

/// What a CSV file says of an event beside its data.
pub(crate) const ENVELOPE: [&str; 6] = ["position", "stream", "version", "type", "time", "actor"];

/// The event's cells for [`ENVELOPE`].
pub(crate) fn envelope(event: &RecordedEvent) -> [String; 6] {
    let metadata = &event.metadata;
    [
        event.position.to_string(),
        event.stream.to_string(),
        event.version.to_string(),
        event.event_type.to_string(),
        metadata.occurred_at.unwrap_or(event.recorded_at).to_string(),
        metadata.actor.clone().unwrap_or_default(),
    ]
}
