//! `factum state`: what the data of a stream's events adds up to, and what changed in it.

use factum::{Log, Query, Read, RecordedEvent, StreamName, Version};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::args;
use crate::command::Context;
use crate::exit::Failure;
use crate::values::At;

/// The state of a stream.
#[derive(Serialize)]
struct State {
    stream: String,
    version: u64,
    recorded: String,
    state: Value,
}

/// A member that changed.
#[derive(Serialize)]
struct Change {
    path: String,
    before: Value,
    after: Value,
}

/// Prints either.
pub(crate) async fn run(args: args::State, mut context: Context<'_>) -> Result<(), Failure> {
    let args::State { stream, at, diff } = args;
    let events = read(&stream, &context).await?;
    let last = events.last().map_or(Version::EMPTY, |last| last.version);
    context.console.note("the data of the events, merged: not the state that the application makes of them");
    if let Some((before, after)) = diff {
        check(&stream, after.max(before), last)?;
        let (before, after) = (fold(&events, At::Version(before), &context), fold(&events, At::Version(after), &context));
        let mut changes = Vec::new();
        compare("", &before, &after, &mut changes);
        context.output.rows(&changes)?;
        return context.output.finish();
    }
    let at = at.unwrap_or(At::Version(last));
    if let At::Version(version) = at {
        check(&stream, version, last)?;
    }
    let Some(newest) = events.iter().rev().find(|event| at.includes(event)) else {
        return Err(Failure::not_found(format!("{stream} had no events then")));
    };
    let (version, recorded) = (newest.version.get(), newest.recorded_at.to_string());
    let state = fold(&events, at, &context);
    context.output.record(&State { stream: stream.to_string(), version, recorded, state })
}

async fn read(stream: &StreamName, context: &Context<'_>) -> Result<Vec<RecordedEvent>, Failure> {
    let log = Log::new(context.target.reader().await?.store());
    let mut pages = log.read(Read::new(Query::stream(stream.clone())));
    let mut events = Vec::new();
    while let Some(page) = pages.next().await? {
        events.extend(page.events);
    }
    match events.is_empty() {
        true => {
            let hint = "`factum stream ls --prefix TEXT` lists the streams whose names begin like that";
            Err(Failure::not_found(format!("there is no stream {stream}")).hint(hint))
        }
        false => Ok(events),
    }
}

fn check(stream: &StreamName, version: Version, last: Version) -> Result<(), Failure> {
    match version <= last {
        true => Ok(()),
        false => Err(Failure::not_found(format!("{stream} is at version {last}: it has no version {version}"))),
    }
}

/// The data of the events up to then, each merged into what those before it made: a JSON merge patch (RFC 7386).
fn fold(events: &[RecordedEvent], at: At, context: &Context<'_>) -> Value {
    let mut state = Value::Object(Map::new());
    for event in events.iter().filter(|event| at.includes(event)) {
        match serde_json::from_slice(&event.payload.data) {
            Ok(patch) if event.payload.content_type.is_json() => merge(&mut state, patch),
            _ => context.console.note(&format!("version {} is {}: it is left out", event.version, event.payload.content_type)),
        }
    }
    state
}

fn merge(target: &mut Value, patch: Value) {
    let Value::Object(patch) = patch else {
        *target = patch;
        return;
    };
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    let Some(members) = target.as_object_mut() else { return };
    for (name, value) in patch {
        match value {
            Value::Null => drop(members.remove(&name)),
            value => merge(members.entry(name).or_insert(Value::Null), value),
        }
    }
}

/// What differs, member by member, in the order of their names.
fn compare(path: &str, before: &Value, after: &Value, changes: &mut Vec<Change>) {
    let (Value::Object(old), Value::Object(new)) = (before, after) else {
        if before != after {
            changes.push(Change { path: path.to_owned(), before: before.clone(), after: after.clone() });
        }
        return;
    };
    let names: std::collections::BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    for name in names {
        let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        compare(&path, old.get(name).unwrap_or(&Value::Null), new.get(name).unwrap_or(&Value::Null), changes);
    }
}
