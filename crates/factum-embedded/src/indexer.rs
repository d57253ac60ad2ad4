//! The indexer: writes the index of older events to disk and merges runs, beside the writer.

use std::collections::VecDeque;
use std::io;
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::sync::{Arc, RwLock};
use std::thread::JoinHandle;

use crate::index::{Active, RUN_EVENTS_MAX, Run, Source, merge, reading, write_active};
use crate::log::Log;

/// So many runs of one level become one of the next.
const FANOUT: usize = 8;
/// So many frozen indexes may wait to be written; the writer waits for room beyond that.
const WAITING_MAX: usize = 2;

/// What writes and merges runs.
pub(crate) struct Indexer {
    log: Arc<Log>,
    waiting: VecDeque<Arc<RwLock<Active>>>,
    /// A merge failed: it is tried again after the next run.
    is_stuck: bool,
}

impl Indexer {
    pub(crate) fn new(log: Arc<Log>) -> Self {
        Self { log, waiting: VecDeque::new(), is_stuck: false }
    }

    /// Writes what is frozen. A failure leaves it in memory, where it serves as well, until the next time.
    pub(crate) fn flush(&mut self, frozen: Arc<RwLock<Active>>) {
        self.waiting.push_back(frozen);
        self.is_stuck = false;
        while let Some(frozen) = self.waiting.front().cloned() {
            if self.write(&frozen).is_err() {
                return;
            }
            self.waiting.pop_front();
        }
    }

    fn write(&self, frozen: &Arc<RwLock<Active>>) -> io::Result<()> {
        let disk = &*self.log.disk;
        let name = write_active(disk, self.log.id, &reading(frozen))?;
        let run = open(disk, &name)?;
        self.log.index.change(|sources| {
            sources.runs.push(run);
            sources.actives.retain(|active| !Arc::ptr_eq(active, frozen));
        });
        Ok(())
    }

    /// The newest runs that are to become one.
    fn due(&self) -> Vec<Arc<Run>> {
        let runs = &self.log.index.sources().runs;
        let level = |run: &Run| run.events().max(1).ilog(FANOUT as u32);
        for highest in 0..u32::BITS {
            let count = runs.iter().rev().take_while(|run| level(run) <= highest).count();
            let due = &runs[runs.len() - count..];
            if FANOUT <= count && due.iter().map(|run| u64::from(run.events())).sum::<u64>() <= RUN_EVENTS_MAX {
                return due.to_vec();
            }
        }
        Vec::new()
    }

    /// Merges what is due; `false` where nothing is.
    pub(crate) fn merge_due(&mut self) -> bool {
        let due = self.due();
        if due.is_empty() || self.is_stuck {
            return false;
        }
        self.is_stuck = self.merge(&due).is_err();
        !self.is_stuck
    }

    fn merge(&self, due: &[Arc<Run>]) -> io::Result<()> {
        let disk = &*self.log.disk;
        let name = merge(disk, due)?;
        let merged = open(disk, &name)?;
        self.log.index.change(|sources| {
            let first = sources.runs.iter().position(|run| Arc::ptr_eq(run, &due[0])).unwrap_or_default();
            sources.runs.splice(first..first + due.len(), [merged]);
        });
        // A file that stays is covered by the merged one: the next opening removes it.
        due.iter().filter(|run| run.name() != name).for_each(|run| drop(disk.remove(run.name())));
        Ok(())
    }

    fn run(mut self, frozen: &Receiver<Arc<RwLock<Active>>>) {
        loop {
            match frozen.try_recv() {
                Ok(frozen) => self.flush(frozen),
                Err(TryRecvError::Disconnected) => return,
                Err(TryRecvError::Empty) => {
                    if !self.merge_due() {
                        let Ok(frozen) = frozen.recv() else { return };
                        self.flush(frozen);
                    }
                }
            }
        }
    }
}

/// Opens a run that was just written.
pub(crate) fn open(disk: &dyn crate::disk::Disk, name: &str) -> io::Result<Arc<Run>> {
    let run = Run::open(name, disk.map(name)?);
    run.map(Arc::new).ok_or_else(|| io::Error::other("an index run is not what was written"))
}

/// The indexer as the writer sees it.
pub(crate) enum IndexWork {
    /// On a thread of its own.
    Beside { frozen: Option<SyncSender<Arc<RwLock<Active>>>>, thread: Option<JoinHandle<()>> },
    /// In the writer's own time, so that a simulation is the same each time.
    Inline(Indexer),
}

impl IndexWork {
    pub(crate) fn beside(log: Arc<Log>) -> io::Result<Self> {
        let (sender, receiver) = sync_channel(WAITING_MAX);
        let indexer = Indexer::new(log);
        let thread = std::thread::Builder::new().name("factum-indexer".into()).spawn(move || indexer.run(&receiver))?;
        Ok(Self::Beside { frozen: Some(sender), thread: Some(thread) })
    }

    /// Has a frozen index written; waits while too many are.
    pub(crate) fn flush(&mut self, active: Arc<RwLock<Active>>) {
        match self {
            // The thread is gone only if it panicked: the index then stays in memory.
            Self::Beside { frozen, .. } => drop(frozen.as_ref().map(|frozen| frozen.send(active))),
            Self::Inline(indexer) => {
                indexer.flush(active);
                while indexer.merge_due() {}
            }
        }
    }

    /// Waits until everything is written.
    pub(crate) fn finish(&mut self) {
        if let Self::Beside { frozen, thread } = self {
            *frozen = None;
            let _ = thread.take().map(JoinHandle::join);
        }
    }
}
