//! The simulated disk itself.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;

use super::faults::{Act, Fault, Faults, input_output_error};
use super::operation::{FileId, Operation};
use super::{CrashStates, Image};
use crate::disk::{Disk, DiskFile, DiskLock};

/// A disk in memory. Clones are the same disk.
///
/// Without a fault it does all that it is asked to, and keeps the log of it; [`SimulatedDisk::crash_states`] says what a power
/// loss could have made of that.
#[derive(Clone, Default)]
pub struct SimulatedDisk {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    /// Told when a sync begins to wait, and when syncs are let go.
    held: Condvar,
}

#[derive(Default)]
struct State {
    /// What was durable when the disk was switched on.
    base: Image,
    log: Vec<Operation>,
    /// The files as programs see them.
    names: BTreeMap<Arc<str>, FileId>,
    files: Vec<File>,
    faults: Faults,
    /// The most bytes that all files may have together; no limit where there is none.
    space: Option<u64>,
    locked: bool,
    hold: Option<Hold>,
    lies: Lies,
}

/// What the disk says it did and did not.
#[derive(Default)]
struct Lies {
    syncs: bool,
    name_syncs: bool,
}

struct File {
    /// Its name, or the last that it had.
    name: Arc<str>,
    bytes: Arc<Vec<u8>>,
}

struct Hold {
    suffix: String,
    waiting: usize,
}

impl SimulatedDisk {
    /// An empty disk.
    pub fn new() -> Self {
        Self::default()
    }

    /// A disk that holds an image, all of it durable.
    pub(super) fn of(image: &Image) -> Self {
        let names = image.files.keys().cloned().zip(0..).collect();
        let files = image.files.iter().map(|(name, bytes)| File { name: Arc::clone(name), bytes: Arc::clone(bytes) }).collect();
        let state = State { base: image.clone(), names, files, ..State::default() };
        Self { shared: Arc::new(Shared { state: Mutex::new(state), held: Condvar::new() }) }
    }

    /// How many operations its log has: what was durable at this moment is what a later crash must not lose.
    pub fn operations(&self) -> usize {
        self.state().log.len()
    }

    /// The log, a line an operation.
    pub fn log(&self) -> Vec<String> {
        self.state().log.iter().map(ToString::to_string).collect()
    }

    /// What a power loss could leave, at every place of the log so far: up to so many different states at each.
    pub fn crash_states(&self, seed: u64, states_each: usize) -> CrashStates {
        let state = self.state();
        CrashStates::new(&state.base, state.log.as_slice().into(), seed, states_each)
    }

    /// What programs see now: what a process leaves that is killed while the power stays on.
    pub fn image(&self) -> Image {
        let state = self.state();
        Image {
            files: state.names.iter().map(|(name, &file)| (Arc::clone(name), Arc::clone(&state.files[file].bytes))).collect(),
        }
    }

    /// What a power loss leaves now, if nothing landed that was not synced.
    pub fn durable(&self) -> Image {
        let mut states = self.crash_states(0, 1).starting_at(self.operations());
        states.next().map(|state| state.image).unwrap_or_default()
    }

    /// The same disk, in use after so many operations of its log, as a process finds it whose predecessor was killed there: it
    /// sees all that was written, and what was not synced still is not.
    pub fn killed_after(&self, operations: usize) -> Self {
        let state = self.state();
        let disk = Self::of(&state.base);
        state.log[..operations].iter().for_each(|operation| disk.state().perform(operation.clone()));
        disk
    }

    /// Makes the `nth` operation of the fault's kind from now on fail, counted from 1, on files whose names end like this.
    pub fn inject(&self, fault: Fault, suffix: &str, nth: u64) {
        self.state().faults.add(fault, suffix, nth);
    }

    /// Whether a fault that was injected has not come yet.
    pub fn has_faults_to_come(&self) -> bool {
        !self.state().faults.is_empty()
    }

    /// Lets all files have this many bytes together; a write that needs more fails after those that fit.
    pub fn limit_space(&self, bytes: Option<u64>) {
        self.state().space = bytes;
    }

    /// The bytes that all files have together.
    pub fn used_space(&self) -> u64 {
        self.state().used_space()
    }

    /// From now on, does nothing when a file is synced, and says that it did.
    pub fn lie_about_syncs(&self) {
        self.state().lies.syncs = true;
    }

    /// From now on, does nothing when the names are synced, and says that it did.
    pub fn lie_about_name_syncs(&self) {
        self.state().lies.name_syncs = true;
    }

    /// Makes syncs of the files whose names end like this wait until what is returned is dropped.
    pub fn hold_syncs(&self, suffix: &str) -> HeldSyncs {
        self.state().hold = Some(Hold { suffix: suffix.to_owned(), waiting: 0 });
        HeldSyncs { disk: self.clone() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state()
    }

    fn file(&self, file: FileId) -> Arc<dyn DiskFile> {
        Arc::new(OpenFile { disk: Arc::clone(&self.shared), file })
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        // A panic of a test's own thread; what it left is what the test is about.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Syncs wait while this lives.
#[must_use]
pub struct HeldSyncs {
    disk: SimulatedDisk,
}

impl HeldSyncs {
    /// Returns when a sync waits.
    ///
    /// # Panics
    /// Where none does within 30 seconds.
    pub fn wait(&self) {
        let is_awaited = |state: &mut State| state.hold.as_ref().is_some_and(|hold| hold.waiting == 0);
        let waited = self.disk.shared.held.wait_timeout_while(self.disk.state(), PATIENCE, is_awaited);
        let (_state, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
        assert!(!timeout.timed_out(), "nothing is synced");
    }
}

/// How long a sync is waited for.
const PATIENCE: Duration = Duration::from_secs(30);

impl Drop for HeldSyncs {
    fn drop(&mut self) {
        self.disk.state().hold = None;
        self.disk.shared.held.notify_all();
    }
}

impl Disk for SimulatedDisk {
    fn lock(&self) -> io::Result<Box<dyn DiskLock>> {
        let mut state = self.state();
        if state.locked {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        state.locked = true;
        Ok(Box::new(Lock { disk: self.clone() }))
    }

    fn list(&self) -> io::Result<Vec<String>> {
        Ok(self.state().names.keys().map(ToString::to_string).collect())
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        let mut state = self.state();
        let file = match state.names.get(name) {
            Some(&file) => {
                state.set_len(file, 0)?;
                file
            }
            None => {
                let file = state.files.len();
                state.perform(Operation::Create { name: name.into(), file });
                file
            }
        };
        Ok(self.file(file))
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        Ok(self.file(self.state().find(name)?))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut state = self.state();
        let file = state.find(from)?;
        state.perform(Operation::Rename { file, from: from.into(), to: to.into() });
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut state = self.state();
        let file = state.find(name)?;
        state.perform(Operation::Remove { name: name.into(), file });
        Ok(())
    }

    fn sync_names(&self) -> io::Result<()> {
        let mut state = self.state();
        if state.faults.count(Act::SyncNames, "").is_some() {
            return Err(input_output_error());
        }
        if !state.lies.name_syncs {
            state.log.push(Operation::SyncNames);
        }
        Ok(())
    }
}

impl State {
    fn find(&self, name: &str) -> io::Result<FileId> {
        self.names.get(name).copied().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// Does what a logged operation did, and logs it.
    fn perform(&mut self, operation: Operation) {
        match &operation {
            Operation::Create { name, file } => {
                self.files.push(File { name: Arc::clone(name), bytes: Arc::default() });
                self.names.insert(Arc::clone(name), *file);
            }
            Operation::Write { file, offset, bytes } => {
                let content = Arc::make_mut(&mut self.files[*file].bytes);
                let part = *offset as usize..*offset as usize + bytes.len();
                content.resize(content.len().max(part.end), 0);
                content[part].copy_from_slice(bytes);
            }
            Operation::SetLen { file, len } => Arc::make_mut(&mut self.files[*file].bytes).resize(*len as usize, 0),
            Operation::Rename { file, from, to } => {
                self.names.remove(from);
                self.names.insert(Arc::clone(to), *file);
                self.files[*file].name = Arc::clone(to);
            }
            Operation::Remove { name, .. } => drop(self.names.remove(name)),
            Operation::Sync { .. } | Operation::SyncFailed { .. } | Operation::SyncNames => {}
        }
        self.log.push(operation);
    }

    fn used_space(&self) -> u64 {
        self.names.values().map(|&file| self.files[file].bytes.len() as u64).sum()
    }

    /// How many of the bytes that a file is to grow by there is space for.
    fn space_for(&self, growth: u64) -> u64 {
        self.space.map_or(growth, |space| growth.min(space.saturating_sub(self.used_space())))
    }

    fn write(&mut self, file: FileId, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let fault = self.faults.count(Act::Write, &self.files[file].name);
        let (bytes, result) = match fault {
            Some(Fault::ShortWrite(count)) => (&bytes[..count.min(bytes.len())], Err(input_output_error())),
            Some(_) => return Err(input_output_error()),
            None => (bytes, Ok(())),
        };
        let end = offset + bytes.len() as u64;
        let missing = end.saturating_sub(self.files[file].bytes.len() as u64);
        let lacking = (missing - self.space_for(missing)).min(bytes.len() as u64) as usize;
        let fits = &bytes[..bytes.len() - lacking];
        if !fits.is_empty() {
            self.perform(Operation::Write { file, offset, bytes: Bytes::copy_from_slice(fits) });
        }
        if 0 < lacking { Err(io::ErrorKind::StorageFull.into()) } else { result }
    }

    fn set_len(&mut self, file: FileId, len: u64) -> io::Result<()> {
        let growth = len.saturating_sub(self.files[file].bytes.len() as u64);
        if self.space_for(growth) < growth {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.perform(Operation::SetLen { file, len });
        Ok(())
    }

    fn sync(&mut self, file: FileId) -> io::Result<()> {
        if self.faults.count(Act::Sync, &self.files[file].name).is_some() {
            self.log.push(Operation::SyncFailed { file });
            return Err(input_output_error());
        }
        if !self.lies.syncs {
            self.log.push(Operation::Sync { file });
        }
        Ok(())
    }

    /// The hold on syncs, if it is one on this file's.
    fn hold(&mut self, file: FileId) -> Option<&mut Hold> {
        let name = &self.files[file].name;
        self.hold.as_mut().filter(|hold| name.ends_with(&hold.suffix))
    }
}

struct OpenFile {
    disk: Arc<Shared>,
    file: FileId,
}

impl DiskFile for OpenFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.disk.state().files[self.file].bytes.len() as u64)
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let mut state = self.disk.state();
        let File { name, bytes } = &state.files[self.file];
        let (name, bytes) = (Arc::clone(name), Arc::clone(bytes));
        if state.faults.count(Act::Read, &name).is_some() {
            return Err(input_output_error());
        }
        let end = usize::try_from(offset).ok().and_then(|offset| offset.checked_add(buffer.len()));
        let Some(part) = end.and_then(|end| bytes.get(end - buffer.len()..end)) else {
            return Err(io::ErrorKind::UnexpectedEof.into());
        };
        buffer.copy_from_slice(part);
        Ok(())
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.disk.state().write(self.file, offset, bytes)
    }

    fn allocate(&self, offset: u64, len: u64) -> io::Result<()> {
        self.disk.state().set_len(self.file, offset + len)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.disk.state().set_len(self.file, len)
    }

    fn sync(&self) -> io::Result<()> {
        let mut state = self.disk.state();
        if let Some(hold) = state.hold(self.file) {
            hold.waiting += 1;
            self.disk.held.notify_all();
            let held = |state: &mut State| state.hold(self.file).is_some();
            state = self.disk.held.wait_while(state, held).unwrap_or_else(PoisonError::into_inner);
        }
        state.sync(self.file)
    }
}

struct Lock {
    disk: SimulatedDisk,
}

impl DiskLock for Lock {}

impl Drop for Lock {
    fn drop(&mut self) {
        self.disk.state().locked = false;
    }
}

impl fmt::Debug for SimulatedDisk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state();
        f.debug_struct("SimulatedDisk").field("names", &state.names).field("operations", &state.log.len()).finish()
    }
}

impl fmt::Debug for OpenFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "file {}, last named {}", self.file, self.disk.state().files[self.file].name)
    }
}

impl fmt::Debug for HeldSyncs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HeldSyncs")
    }
}
