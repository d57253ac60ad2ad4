//! What is durable and what is not, after some of the operations of a log.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;

use super::Image;
use super::landed::{Landed, Pending};
use super::operation::{FileId, Operation};

/// A disk writes a sector whole or not at all; the smallest that there is. In bytes.
const SECTOR: u64 = 512;

/// A disk at one place of its log: each name and each sector with what it held when it was last synced, and since.
#[derive(Debug, Clone)]
pub(super) struct Unsynced {
    names: BTreeMap<Arc<str>, FileId>,
    renamed: Vec<(usize, NameChange)>,
    files: Vec<File>,
    /// The operations so far.
    at: usize,
}

#[derive(Debug, Clone)]
enum NameChange {
    Add { name: Arc<str>, file: FileId },
    Move { file: FileId, to: Arc<str> },
    Remove { name: Arc<str> },
}

#[derive(Debug, Clone, Default)]
struct File {
    durable: Arc<Vec<u8>>,
    /// Its length as programs see it.
    len: u64,
    sectors: BTreeMap<u64, Cell<Patch>>,
    length: Cell<u64>,
}

/// What lands whole or not at all: its changes since it was durable, each with its place in the log.
#[derive(Debug, Clone)]
struct Cell<T> {
    changes: Vec<(usize, T)>,
    /// Whether the system knows that it is not durable: a failed sync makes it forget.
    dirty: bool,
}

impl<T> Default for Cell<T> {
    fn default() -> Self {
        Self { changes: Vec::new(), dirty: false }
    }
}

impl<T> Cell<T> {
    fn change(&mut self, at: usize, change: T) {
        self.changes.push((at, change));
        self.dirty = true;
    }
}

/// Bytes for a part of a sector; no bytes are zeros.
#[derive(Debug, Clone)]
struct Patch {
    within: Range<usize>,
    bytes: Option<Bytes>,
}

impl Unsynced {
    /// A disk that was just switched on.
    pub(super) fn new(image: &Image) -> Self {
        let names = image.files.keys().cloned().zip(0..).collect();
        let files = image.files.values().map(|bytes| File::durable(Arc::clone(bytes))).collect();
        Self { names, renamed: Vec::new(), files, at: 0 }
    }

    /// Goes on by an operation.
    pub(super) fn step(&mut self, operation: &Operation) {
        let at = self.at;
        self.at += 1;
        match operation {
            Operation::Create { name, file } => {
                self.files.resize_with(self.files.len().max(file + 1), File::default);
                self.renamed.push((at, NameChange::Add { name: Arc::clone(name), file: *file }));
            }
            Operation::Write { file, offset, bytes } => self.files[*file].write(at, *offset, bytes),
            Operation::SetLen { file, len } => self.files[*file].set_len(at, *len),
            Operation::Rename { file, to, .. } => {
                self.renamed.push((at, NameChange::Move { file: *file, to: Arc::clone(to) }));
            }
            Operation::Remove { name, .. } => self.renamed.push((at, NameChange::Remove { name: Arc::clone(name) })),
            Operation::Sync { file } => self.files[*file].sync(),
            Operation::SyncFailed { file } => self.files[*file].forget(),
            Operation::SyncNames => {
                self.names = self.names_with(&Landed::EVERYTHING);
                self.renamed.clear();
            }
        }
    }

    /// What is not durable yet.
    pub(super) fn pending(&self) -> Pending {
        let mut pending = Pending { names: self.renamed.iter().map(|(at, _)| *at).collect(), ..Pending::default() };
        let mut writes = BTreeMap::new();
        for file in &self.files {
            pending.data.extend(file.length.changes.iter().map(|(at, _)| *at));
            for (&sector, cell) in &file.sectors {
                for &(at, _) in &cell.changes {
                    writes.entry(at).or_insert((at, sector, sector)).2 = sector;
                }
            }
        }
        pending.data.extend(writes.keys());
        pending.writes = writes.into_values().collect();
        pending
    }

    /// What a power loss leaves now, given what landed.
    pub(super) fn image(&self, landed: &Landed) -> Image {
        let names = self.names_with(landed);
        Image { files: names.into_iter().map(|(name, file)| (name, self.files[file].content(file, landed))).collect() }
    }

    fn names_with(&self, landed: &Landed) -> BTreeMap<Arc<str>, FileId> {
        let mut names = self.names.clone();
        for (_, change) in self.renamed.iter().filter(|(at, _)| landed.name(*at)) {
            match change {
                NameChange::Add { name, file } => {
                    names.insert(Arc::clone(name), *file);
                }
                NameChange::Move { file, to } => {
                    names.retain(|_, named| named != file);
                    names.insert(Arc::clone(to), *file);
                }
                NameChange::Remove { name } => {
                    names.remove(name);
                }
            }
        }
        names
    }
}

impl File {
    fn durable(bytes: Arc<Vec<u8>>) -> Self {
        Self { len: bytes.len() as u64, durable: bytes, ..Self::default() }
    }

    fn write(&mut self, at: usize, offset: u64, bytes: &Bytes) {
        for (sector, within) in sectors(offset..offset + bytes.len() as u64) {
            let from = (sector * SECTOR + within.start as u64 - offset) as usize;
            let bytes = Some(bytes.slice(from..from + within.len()));
            self.sectors.entry(sector).or_default().change(at, Patch { within, bytes });
        }
        let end = offset + bytes.len() as u64;
        self.len = self.len.max(end);
        // Where a failed sync lost a length, writing there again makes the file as long as it looks.
        if (self.durable.len() as u64) < end {
            self.length.change(at, self.len);
        }
    }

    fn set_len(&mut self, at: usize, len: u64) {
        for (sector, within) in sectors(len..self.len.max(len)) {
            self.sectors.entry(sector).or_default().change(at, Patch { within, bytes: None });
        }
        self.len = len;
        self.length.change(at, len);
    }

    fn sync(&mut self) {
        let durable = Arc::make_mut(&mut self.durable);
        self.sectors.retain(|&sector, cell| {
            if cell.dirty {
                cell.changes.iter().for_each(|(_, patch)| patch.apply(durable, sector));
            }
            !cell.dirty
        });
        if self.length.dirty {
            durable.resize(self.len as usize, 0);
            self.length = Cell::default();
        }
    }

    fn forget(&mut self) {
        self.sectors.values_mut().for_each(|cell| cell.dirty = false);
        self.length.dirty = false;
    }

    fn content(&self, file: FileId, landed: &Landed) -> Arc<Vec<u8>> {
        if self.sectors.is_empty() && self.length.changes.is_empty() {
            return Arc::clone(&self.durable);
        }
        let mut content = Vec::with_capacity(self.len as usize + SECTOR as usize);
        content.extend_from_slice(&self.durable);
        for (&sector, cell) in &self.sectors {
            // A sector holds what it held at some time: a change that landed brings those before it along.
            let last = cell.changes.iter().rposition(|(at, _)| landed.sector(*at, file, sector));
            cell.changes[..last.map_or(0, |last| last + 1)].iter().for_each(|(_, patch)| patch.apply(&mut content, sector));
        }
        let length = self.length.changes.iter().rfind(|(at, _)| landed.length(*at, file));
        content.resize(length.map_or(self.durable.len(), |(_, len)| *len as usize), 0);
        Arc::new(content)
    }
}

impl Patch {
    fn apply(&self, content: &mut Vec<u8>, sector: u64) {
        let start = (sector * SECTOR) as usize;
        let to = start + self.within.start..start + self.within.end;
        if content.len() < to.end {
            content.resize(to.end, 0);
        }
        match &self.bytes {
            Some(bytes) => content[to].copy_from_slice(bytes),
            None => content[to].fill(0),
        }
    }
}

/// The sectors of a part of a file, each with the part of it.
fn sectors(part: Range<u64>) -> impl Iterator<Item = (u64, Range<usize>)> {
    let numbers = if part.is_empty() { 0..0 } else { part.start / SECTOR..(part.end - 1) / SECTOR + 1 };
    numbers.map(move |sector| {
        let start = sector * SECTOR;
        let from = part.start.max(start) - start;
        let to = part.end.min(start + SECTOR) - start;
        (sector, from as usize..to as usize)
    })
}
