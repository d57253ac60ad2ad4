//! What is measured of a system that keeps events in PostgreSQL: the same for each, in each program that serves one.

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;

use crate::command::{Command, Reply, Sample, Write};
use crate::converse::converse;
use crate::entry::Entry;
use crate::moments::Moments;
use crate::stats::Latencies;
use crate::workload::{self, DataSet, LOAD_EVENTS, mix};

/// How often it is looked whether the follower has everything, and how long nothing comes before nothing is expected.
const LOOK: Duration = Duration::from_millis(10);
const STILL: Duration = Duration::from_secs(2);

/// A system, open on a database of its own. Its appends are acknowledged when they are durable.
pub(crate) trait Contender: Sized + Send + Sync + 'static {
    /// One that appends to a stream of its own.
    type Writer: Writer;

    /// Opens the database, which may be empty.
    async fn open(url: &str) -> Result<Self>;

    /// A writer with this number.
    fn writer(&self, number: u64) -> Result<Self::Writer>;

    /// Follows the log from its beginning, for ever, as the system's users would.
    fn follow(self: Arc<Self>, seen: Seen) -> impl Future<Output = Result<()>> + Send;

    /// Appends events as they are, with no expectation.
    fn load(&self, entries: Vec<Entry>) -> impl Future<Output = Result<()>> + Send;

    /// Reads the events that have both student and course of an event, then appends it if there is still none newer.
    fn decide(&self, entry: Entry) -> impl Future<Output = Result<()>> + Send;
}

/// One that appends to a stream of its own, expecting it as its own last append left it.
pub(crate) trait Writer: Send + 'static {
    /// Appends; returns when the events are durable, and how often the system refused that before.
    fn append(&mut self, entries: Vec<Entry>) -> impl Future<Output = Result<u64>> + Send;
}

/// What a follower had. Clones share it.
#[derive(Clone, Default)]
pub(crate) struct Seen(Arc<Mutex<Moments>>);

impl Seen {
    /// An event came.
    pub(crate) fn add(&self, number: u64) {
        self.moments().add(number, Duration::ZERO);
    }

    fn moments(&self) -> MutexGuard<'_, Moments> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Serves a system on a database until it is told to close it.
///
/// # Errors
/// Where the measuring process is gone. Failures of the system are answers.
pub(crate) fn serve<C: Contender>(url: &str) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let start = Instant::now();
    let opened = runtime.block_on(C::open(url)).map(|contender| {
        let served = Served { runtime, contender: Arc::new(contender), following: None, seen: Seen::default(), decisions: 0 };
        (served, Sample::once(start.elapsed()))
    });
    converse(opened, |served, command| served.obey(command).map(Reply::Sample))
}

/// An open system.
struct Served<C> {
    runtime: Runtime,
    contender: Arc<C>,
    following: Option<JoinHandle<Result<()>>>,
    seen: Seen,
    /// How many decisions there were in this process.
    decisions: u64,
}

impl<C: Contender> Served<C> {
    fn obey(&mut self, command: &Command) -> Result<Sample> {
        match command {
            Command::Write(write) => self.runtime.block_on(write_all(&*self.contender, write)),
            Command::Follow => {
                let follow = Arc::clone(&self.contender).follow(self.seen.clone());
                self.following = Some(self.runtime.spawn(follow));
                Ok(Sample::default())
            }
            Command::Followed { events, moments } => self.followed(*events, moments),
            Command::Load { events } => self.load(DataSet::new(*events)),
            Command::Decide { events, seconds, seed } => self.decide(DataSet::new(*events), *seconds, *seed),
            Command::Close => Ok(Sample::default()),
            other => bail!("a system on PostgreSQL does not know {other:?}"),
        }
    }

    fn followed(&mut self, events: u64, moments: &Path) -> Result<Sample> {
        let following = self.following.as_mut().context("nobody follows")?;
        let (mut last, mut since) = (0, Instant::now());
        loop {
            let now = self.seen.moments().count();
            if last < now {
                (last, since) = (now, Instant::now());
            }
            let has_all = events <= now && events <= self.seen.moments().distinct();
            if has_all || STILL < since.elapsed() {
                break;
            }
            if following.is_finished() {
                self.runtime.block_on(following)??;
                bail!("the follower has ended");
            }
            std::thread::sleep(LOOK);
        }
        self.seen.moments().write(moments)?;
        Ok(Sample { events: last, ..Sample::default() })
    }

    fn load(&self, set: DataSet) -> Result<Sample> {
        let start = Instant::now();
        for first in (0..set.events).step_by(LOAD_EVENTS as usize) {
            let numbers = first..set.events.min(first + LOAD_EVENTS);
            let entries = numbers.map(|number| Entry::of_event(set.event(number), number)).collect();
            self.runtime.block_on(self.contender.load(entries))?;
        }
        Ok(Sample { events: set.events, ..Sample::once(start.elapsed()) })
    }

    /// Decides, one decision after the other.
    fn decide(&mut self, set: DataSet, seconds: f64, seed: u64) -> Result<Sample> {
        let mut latencies = Latencies::default();
        let start = Instant::now();
        while start.elapsed().as_secs_f64() < seconds {
            self.decisions += 1;
            let number = (1 << 62) + self.decisions;
            let tags = set.two_tags(mix(seed ^ mix(latencies.count())));
            let entry = Entry::of_event(workload::of_decision(&tags, number), number);
            let called = Instant::now();
            self.runtime.block_on(self.contender.decide(entry))?;
            latencies.add(called.elapsed());
        }
        Ok(Sample::new(latencies.count(), start.elapsed(), &mut latencies))
    }
}

/// Has each writer append in a task of its own, one append after the other, until the time is over.
async fn write_all<C: Contender>(contender: &C, write: &Write) -> Result<Sample> {
    ensure!(write.writers != 0, "somebody has to write");
    let start_together = Arc::new(tokio::sync::Barrier::new(write.writers as usize + 1));
    let mut tasks = Vec::new();
    for number in write.first..write.first + write.writers {
        let (writer, start_together) = (contender.writer(number)?, Arc::clone(&start_together));
        let (events, window) = (write.events, Duration::from_secs_f64(write.seconds));
        tasks.push(tokio::spawn(async move {
            start_together.wait().await;
            append(writer, number, events, window).await
        }));
    }
    start_together.wait().await;
    let start = Instant::now();
    let (mut moments, mut refused) = (Moments::default(), 0);
    for task in tasks {
        let (acknowledged, again) = task.await??;
        moments.extend(acknowledged);
        refused += again;
    }
    let seconds = start.elapsed().as_secs_f64();
    moments.write(&write.moments)?;
    let events = moments.count();
    Ok(Sample { calls: events / write.events, events, seconds, refused, ..Sample::default() })
}

async fn append<W: Writer>(mut writer: W, number: u64, events: u64, window: Duration) -> Result<(Moments, u64)> {
    let (mut acknowledged, mut refused) = (Moments::default(), 0);
    let mut next = number << 32;
    let start = Instant::now();
    while start.elapsed() < window {
        let numbers = next..next + events;
        next = numbers.end;
        let entries = numbers.clone().map(|event| Entry::of_writer(number, event)).collect();
        let called = Instant::now();
        refused += writer.append(entries).await?;
        let took = called.elapsed();
        numbers.for_each(|event| acknowledged.add(event, took));
    }
    Ok((acknowledged, refused))
}
