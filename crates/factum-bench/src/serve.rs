//! The process of one system: it does what it is told, a line at a time.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use tokio::runtime::Runtime;

use crate::command::{Command, Memory, Reply, Sample};
use crate::contender;
use crate::contending::factum::Factum as OnPostgres;
use crate::converse::converse;
use crate::measure;
use crate::peer::bare::{self, Bare};
use crate::peer::factum::Factum;
use crate::peer::sqlite::Sqlite;
use crate::peer::umadb::UmaDb;
use crate::peer::{Peer, Tally};
use crate::projection::eventsourced::Eventsourced;
use crate::projection::factum::Factum as Projecting;
use crate::projector;
use crate::system::System;
use crate::workload::{self, DataSet, LOAD_EVENTS, LONG_STREAM};

/// Serves a system on a folder until it is told to close it.
///
/// # Errors
/// Where the measuring process is gone. Failures of the system are answers.
pub(crate) fn serve(system: System, folder: &Path) -> Result<()> {
    match system {
        System::Bare => converse(Bare::open(folder).map(|bare| (bare, Sample::default())), serve_bare),
        System::Factum => serve_peer::<Factum>(folder),
        System::Umadb => serve_peer::<UmaDb>(folder),
        System::Sqlite => serve_peer::<Sqlite>(folder),
        other => bail!("{other:?} does not keep events in a folder"),
    }
}

/// Serves a system that projects, likewise.
///
/// # Errors
/// As [`serve`].
pub(crate) fn serve_projection(system: System, folder: &Path) -> Result<()> {
    match system {
        System::Factum => projector::serve::<Projecting<1>>(folder),
        System::Partitioned => projector::serve::<Projecting<4>>(folder),
        System::Eventsourced => projector::serve::<Eventsourced>(folder),
        System::CqrsEs => bail!("it has a program of its own"),
        other => bail!("{other:?} does not project"),
    }
}

/// Serves a system on a PostgreSQL database, likewise.
///
/// # Errors
/// As [`serve`].
pub(crate) fn serve_postgres(system: System, url: &Path) -> Result<()> {
    let url = url.to_str().context("a URL is text")?;
    match system {
        System::Factum | System::TwoProcesses => contender::serve::<OnPostgres<1>>(url),
        System::EightLogs => contender::serve::<OnPostgres<8>>(url),
        other => bail!("{other:?} is no system on PostgreSQL of this program"),
    }
}

fn serve_bare(bare: &mut Bare, command: &Command) -> Result<Reply> {
    let sample = match command {
        Command::Append { writers, events, seconds } => bare.append(*writers, *events, Duration::from_secs_f64(*seconds))?,
        Command::ReadFiles { folder, ending } => {
            let start = Instant::now();
            let tally = bare::read_files(folder, ending)?;
            Sample { bytes: tally.bytes, ..Sample::once(start.elapsed()) }
        }
        Command::Close => Sample::default(),
        other => bail!("a bare disk does not know {other:?}"),
    };
    Ok(Reply::Sample(sample))
}

fn serve_peer<P: Peer>(folder: &Path) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let start = Instant::now();
    let opened = runtime.block_on(P::open(folder)).map(|peer| {
        let sample = Sample::once(start.elapsed());
        (Served { runtime, peer: Some(Arc::new(peer)), writers: Vec::new(), decisions: 0 }, sample)
    });
    converse(opened, Served::obey)
}

/// A system that keeps events, and those who write to it.
struct Served<P: Peer> {
    runtime: Runtime,
    peer: Option<Arc<P>>,
    writers: Vec<P::Writer>,
    /// How many decisions there were in this process.
    decisions: u64,
}

impl<P: Peer> Served<P> {
    fn obey(&mut self, command: &Command) -> Result<Reply> {
        let peer = Arc::clone(self.peer.as_ref().context("it is closed")?);
        let sample = match *command {
            Command::Append { writers, events, seconds } => self.append(&peer, writers, events, seconds)?,
            Command::Load { events } => self.load(&peer, DataSet::new(events))?,
            Command::ReadAll => self.read_all(&peer)?,
            Command::ReadFiles { .. } => bail!("only a bare disk reads files"),
            Command::ReadStreams { events, kind, seconds, seed } => {
                let set = DataSet::new(events);
                let read = async |random| {
                    let tally = peer.read_stream(set.long_stream(kind, random)).await?;
                    ensure!(tally.events == LONG_STREAM, "a stream of {LONG_STREAM} events was read as {}", tally.events);
                    Ok(tally)
                };
                self.runtime.block_on(measure::calls(seconds, seed, read))?
            }
            Command::ReadTagged { events, seconds, seed } => {
                let set = DataSet::new(events);
                let read = async |random| peer.read_tagged(set.two_tags(random)).await;
                self.runtime.block_on(measure::calls(seconds, seed, read))?
            }
            Command::Decide { events, seconds, seed } => self.decide(&peer, DataSet::new(events), seconds, seed)?,
            Command::Memory => return Ok(Reply::Memory(Memory::now()?)),
            Command::CatchUp | Command::Live { .. } | Command::Show { .. } => bail!("only a projection does this"),
            Command::Follow | Command::Write(_) | Command::Followed { .. } => bail!("only a system on PostgreSQL does this"),
            Command::Close => self.close(peer)?,
        };
        Ok(Reply::Sample(sample))
    }

    fn append(&mut self, peer: &Arc<P>, writers: usize, events: usize, seconds: f64) -> Result<Sample> {
        if self.writers.is_empty() {
            let new = (0..writers).map(|writer| peer.writer(&workload::writer_stream(writer), events));
            self.writers = new.collect::<Result<_>>()?;
        }
        let writers = std::mem::take(&mut self.writers);
        let window = Duration::from_secs_f64(seconds);
        let (writers, sample) = match P::BLOCKING {
            true => measure::append_in_threads(self.runtime.handle(), writers, window)?,
            false => self.runtime.block_on(measure::append_in_tasks(writers, window))?,
        };
        self.writers = writers;
        Ok(Sample { events: sample.calls * events as u64, ..sample })
    }

    fn load(&self, peer: &Arc<P>, set: DataSet) -> Result<Sample> {
        let mut took = Duration::ZERO;
        let mut anonymous_kib = 0;
        for first in (0..set.events).step_by(LOAD_EVENTS as usize) {
            let events = (first..set.events.min(first + LOAD_EVENTS)).map(|number| set.event(number)).collect();
            let start = Instant::now();
            self.runtime.block_on(peer.load(events))?;
            took += start.elapsed();
            anonymous_kib = anonymous_kib.max(Memory::now()?.anonymous);
        }
        Ok(Sample { events: set.events, anonymous_kib, ..Sample::once(took) })
    }

    fn read_all(&self, peer: &Arc<P>) -> Result<Sample> {
        let start = Instant::now();
        let Tally { events, bytes } = self.runtime.block_on(peer.read_all())?;
        Ok(Sample { events, bytes, ..Sample::once(start.elapsed()) })
    }

    fn decide(&mut self, peer: &Arc<P>, set: DataSet, seconds: f64, seed: u64) -> Result<Sample> {
        let process = u64::from(std::process::id()) << 32;
        let decisions = &mut self.decisions;
        let decide = async |random| {
            *decisions += 1;
            peer.decide(workload::of_decision(&set.two_tags(random), process + *decisions)).await?;
            Ok(Tally { events: 1, bytes: 0 })
        };
        self.runtime.block_on(measure::calls(seconds, seed, decide))
    }

    fn close(&mut self, peer: Arc<P>) -> Result<Sample> {
        self.writers.clear();
        self.peer = None;
        let start = Instant::now();
        let peer = Arc::into_inner(peer).context("it is still in use")?;
        self.runtime.block_on(peer.close())?;
        Ok(Sample::once(start.elapsed()))
    }
}
