//! `factum append`: records one event, or the CloudEvents of stdin.

use std::collections::HashMap;
use std::io::IsTerminal;
use std::path::Path;

use factum::limits::APPEND_EVENTS_MAX;
use factum::{
    Append, AppendError, Appended, EventId, Expected, Metadata, NewEvent, Payload, Store, StoreErrorKind, StreamName, Version,
};
use serde::Serialize;
use serde_json::value::RawValue;

use crate::args;
use crate::cloud_event;
use crate::command::Context;
use crate::exit::Failure;
use crate::input::{self, Lines};

/// Records events, and prints where each of them is.
pub(crate) async fn run(args: args::Append, mut context: Context<'_>) -> Result<(), Failure> {
    let expected = args.stream.clone().map(|stream| (stream, args.expect));
    if expected.is_none() && args.expect != Expected::Any {
        return Err(Failure::usage("--expect is about a stream: name it, as in `factum append STREAM --expect none`"));
    }
    if args.data.is_none() && std::io::stdin().is_terminal() {
        context
            .console
            .note("reading CloudEvents, one a line, up to Ctrl-D; to record one event, give it with --type and --data");
    }
    let mut source = Source::new(args)?;
    let mut events = source.next()?;
    if events.is_empty() {
        context.console.note("there is no event on stdin");
        return context.output.finish();
    }
    // Not before the events are read: what cannot be recorded creates no store.
    let opened = context.target.writer().await?;
    let store = opened.store();
    while !events.is_empty() {
        let ids: Vec<_> = events.iter().map(|event| (event.id, event.stream.clone())).collect();
        let append = Append { events, expected: expected.iter().cloned().collect(), ..Append::default() };
        let appended = store.append(append).await.map_err(|error| failure(error, &ids))?;
        context.output.rows(&rows(&ids, &appended))?;
        events = source.next()?;
    }
    opened.close().await;
    context.output.finish()
}

/// A failed append. One whose outcome is unknown can be repeated, with the id that was made for it.
fn failure(error: AppendError, ids: &[(EventId, StreamName)]) -> Failure {
    match (&error, ids) {
        (AppendError::Store(store), [(id, _)]) if store.kind() == StoreErrorKind::UnknownOutcome => {
            Failure::from(error).hint(format!("run the command again with --id {id}: the event is recorded once at most"))
        }
        _ => error.into(),
    }
}

/// Where the events come from, an append at a time.
enum Source {
    Event(Option<Box<NewEvent>>),
    Stdin { lines: Lines, stream: Option<StreamName>, batch: Option<u64>, ended: bool },
}

impl Source {
    fn new(mut args: args::Append) -> Result<Self, Failure> {
        if args.data.is_some() {
            return Ok(Self::Event(Some(Box::new(event(&mut args)?))));
        }
        let (input, _) = input::open(Path::new("-"))?;
        let lines = Lines::new(input, "stdin".to_owned());
        Ok(Self::Stdin { lines, stream: args.stream, batch: args.batch, ended: false })
    }

    /// The events of the next append; none at the end.
    fn next(&mut self) -> Result<Vec<NewEvent>, Failure> {
        let (lines, stream, batch, ended) = match self {
            Self::Event(event) => return Ok(event.take().map(|event| *event).into_iter().collect()),
            Self::Stdin { lines, stream, batch, ended } => (lines, stream, batch, ended),
        };
        let mut events = Vec::new();
        while !*ended && batch.is_none_or(|batch| (events.len() as u64) < batch) {
            match cloud_event::next(lines, stream.as_ref())? {
                Some(event) if events.len() < APPEND_EVENTS_MAX => events.push(event),
                Some(_) => return Err(too_many()),
                None => *ended = true,
            }
        }
        Ok(events)
    }
}

fn too_many() -> Failure {
    Failure::failed(format!("nothing was recorded: stdin has more than the {APPEND_EVENTS_MAX} events that one append can have"))
        .hint("give up all or nothing with --batch 1000, or use `factum import -`")
}

/// The one event of the arguments.
fn event(args: &mut args::Append) -> Result<NewEvent, Failure> {
    let (Some(stream), Some(event_type), Some(data)) = (args.stream.clone(), args.event_type.take(), args.data.take()) else {
        return Err(Failure::usage("an event needs STREAM, --type and --data"));
    };
    Ok(NewEvent {
        id: args.id.unwrap_or_else(EventId::new),
        stream,
        event_type,
        schema: 1,
        tags: std::mem::take(&mut args.tags),
        metadata: Metadata {
            actor: args.actor.take(),
            correlation_id: args.correlation.take(),
            causation_id: args.causation,
            headers: std::mem::take(&mut args.headers).into_iter().collect(),
            ..Metadata::default()
        },
        payload: Payload::json(json_on_a_line(&input::argument(&data)?)?),
    })
}

/// The JSON, without the line breaks that a file may have between its values.
fn json_on_a_line(text: &str) -> Result<String, Failure> {
    let json: &RawValue = serde_json::from_str(text).map_err(|error| {
        Failure::usage(format!("--data is not JSON: {error}")).hint("a text stands between double quotes: --data '\"like this\"'")
    })?;
    if !json.get().contains(['\n', '\r']) {
        return Ok(json.get().to_owned());
    }
    let (mut in_text, mut escaped) = (false, false);
    let kept = |c: &char| {
        let keep = in_text || !c.is_ascii_whitespace();
        in_text ^= *c == '"' && !escaped;
        escaped = *c == '\\' && !escaped;
        keep
    };
    Ok(json.get().chars().filter(kept).collect())
}

/// Where an event is.
#[derive(Serialize)]
struct Row {
    id: String,
    stream: String,
    version: u64,
    position: u64,
}

/// Where each event of an append is.
fn rows(events: &[(EventId, StreamName)], appended: &Appended) -> Vec<Row> {
    // The last versions are known, so the events are gone through from the last to the first.
    let mut versions: HashMap<&StreamName, Version> = appended.versions.iter().map(|(stream, last)| (stream, *last)).collect();
    let positions = (0..=appended.positions.through.get()).rev();
    let mut rows = Vec::with_capacity(events.len());
    for ((id, stream), position) in events.iter().rev().zip(positions) {
        let next = versions.entry(stream).or_default();
        rows.push(Row { id: id.to_string(), stream: stream.to_string(), version: next.get(), position });
        *next = Version::new(next.get().saturating_sub(1));
    }
    rows.reverse();
    rows
}

#[cfg(test)]
mod tests {
    use super::json_on_a_line;

    #[test]
    fn json_loses_its_line_breaks_and_nothing_else() {
        let lines = "{\n  \"a b\": [1.0e5,\t\"\\\" \\\\\"],\r\n  \"c\": 12345678901234567890123\n}";
        assert_eq!(json_on_a_line(lines).unwrap(), r#"{"a b":[1.0e5,"\" \\"],"c":12345678901234567890123}"#);
        assert_eq!(json_on_a_line(" {\"a\": 1} ").unwrap(), "{\"a\": 1}");
    }
}
