//! `factum bench`: how fast this machine appends and reads.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use factum::{AnyStore, Append, EventType, NewEvent, Payload, Query, Read, Store, StreamName};
use factum_postgres::Logs;
use serde::Serialize;
use tokio::task::JoinSet;

use crate::args::{Bench, Load};
use crate::command::Context;
use crate::exit::Failure;
use crate::target::Target;

/// What was measured. A call is an append, or the read of a page.
#[derive(Serialize)]
struct Measured {
    clients: u64,
    batch: u64,
    seconds: f64,
    calls: u64,
    events: u64,
    calls_per_second: u64,
    events_per_second: u64,
    p50_us: u32,
    p99_us: u32,
}

/// Measures, and prints what.
pub(crate) async fn run(args: Bench, mut context: Context<'_>) -> Result<(), Failure> {
    let measured = match args {
        Bench::Read(load) => {
            let store = context.target.reader().await?.store();
            measure(&load, |_| read(store.clone(), load.clone())).await?
        }
        Bench::Append(load) => {
            let throwaway = Throwaway::beside(&context.target)?;
            context.console.detail(&format!("appending to {}", throwaway.name));
            let opened = throwaway.target.writer().await?;
            let store = opened.store();
            let measured = measure(&load, |client| append(store.clone(), load.clone(), client)).await;
            opened.close().await;
            throwaway.remove().await?;
            measured?
        }
    };
    context.output.record(&measured)
}

/// What one client did: microseconds a call, and events in all.
type Done = Result<(Vec<u32>, u64), Failure>;

/// Runs the clients side by side.
async fn measure<C>(load: &Load, client: impl Fn(u64) -> C) -> Result<Measured, Failure>
where
    C: Future<Output = Done> + Send + 'static,
{
    let started = Instant::now();
    let mut clients = JoinSet::new();
    for number in 0..load.clients {
        clients.spawn(client(number));
    }
    let (mut micros, mut events) = (Vec::new(), 0);
    while let Some(done) = clients.join_next().await {
        let (calls, count) = done.map_err(|error| Failure::failed(format!("a client failed: {error}")))??;
        micros.extend(calls);
        events += count;
    }
    let seconds = started.elapsed().as_secs_f64();
    micros.sort_unstable();
    let calls = micros.len() as u64;
    let per_second = |count: u64| (count as f64 / seconds) as u64;
    let percentile = |percent: usize| micros.get((micros.len() * percent / 100).min(micros.len().saturating_sub(1)));
    Ok(Measured {
        clients: load.clients,
        batch: load.batch,
        seconds,
        calls,
        events,
        calls_per_second: per_second(calls),
        events_per_second: per_second(events),
        p50_us: percentile(50).copied().unwrap_or(0),
        p99_us: percentile(99).copied().unwrap_or(0),
    })
}

async fn append(store: AnyStore, load: Load, client: u64) -> Done {
    let stream = StreamName::new(format!("bench-{client}"))?;
    let event_type: EventType = "Measured".parse()?;
    let payload = Payload::json(format!("\"{}\"", "x".repeat(load.size as usize - 2)));
    let event = || NewEvent::new(stream.clone(), event_type.as_str(), payload.clone());
    let (mut micros, mut events) = (Vec::new(), 0);
    let until = Instant::now() + load.duration;
    while Instant::now() < until {
        let batch = (0..load.batch).map(|_| event()).collect::<Result<Vec<_>, _>>()?;
        let started = Instant::now();
        store.append(Append::new(batch)).await?;
        micros.push(microseconds(started.elapsed()));
        events += load.batch;
    }
    Ok((micros, events))
}

async fn read(store: AnyStore, load: Load) -> Done {
    let whole = Read::new(Query::all()).limit(load.batch as usize);
    let mut next = whole.clone();
    let (mut micros, mut events) = (Vec::new(), 0);
    let until = Instant::now() + load.duration;
    while Instant::now() < until {
        let started = Instant::now();
        let page = store.read(next.clone()).await?;
        micros.push(microseconds(started.elapsed()));
        events += page.events.len() as u64;
        next.range = page.rest.unwrap_or(whole.range);
    }
    Ok((micros, events))
}

fn microseconds(time: Duration) -> u32 {
    u32::try_from(time.as_micros()).unwrap_or(u32::MAX)
}

/// A new store beside another one, on the same disk or in the same database. It is removed at the end: events cannot be taken out
/// of a store again.
struct Throwaway {
    target: Target,
    name: String,
}

impl Throwaway {
    fn beside(target: &Target) -> Result<Self, Failure> {
        let dir = match target {
            Target::Folder(dir) => dir,
            Target::Postgres { url, .. } => {
                let name = format!("bench-{}", std::process::id());
                return Ok(Self { target: Target::Postgres { url: url.clone(), log: name.clone() }, name });
            }
        };
        let dir = std::path::absolute(dir).map_err(|error| Failure::file(Path::new("."), &error))?;
        // Taken apart and put together, a path has no separator at its end, after which the new name would be in the store.
        let mut path = OsString::from(dir.components().collect::<PathBuf>());
        path.push(format!(".bench-{}", std::process::id()));
        let path = PathBuf::from(path);
        Ok(Self { name: path.display().to_string(), target: Target::Folder(path) })
    }

    /// Removes a log; a folder goes with this value.
    async fn remove(&self) -> Result<(), Failure> {
        if let Target::Postgres { url, log } = &self.target {
            Logs::at(url)?.drop(log).await?;
        }
        Ok(())
    }
}

impl Drop for Throwaway {
    fn drop(&mut self) {
        if let Target::Folder(path) = &self.target {
            // It may never have been created.
            let _ = std::fs::remove_dir_all(path);
        }
    }
}
