//! A folder of the machine's file system, as a disk.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, IoSliceMut};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use rustix::fs::FallocateFlags;
use rustix::io::{Errno, ReadWriteFlags};

use crate::disk::{Disk, DiskFile, DiskLock};

const LOCK: &str = "LOCK";
/// A reader that looks whether there is a writer holds the lock for a moment: it is no other writer before so long.
const LOOKS_LAST: Duration = Duration::from_millis(100);

/// A folder.
#[derive(Debug, Clone)]
pub(crate) struct Folder {
    path: PathBuf,
    writes: bool,
}

impl Folder {
    /// A folder to read and write; it is created where it is missing.
    pub(crate) fn create(path: &Path) -> io::Result<Self> {
        std::fs::create_dir_all(path)?;
        Ok(Self { path: path.to_owned(), writes: true })
    }

    /// A folder to read.
    pub(crate) fn read_only(path: &Path) -> Self {
        Self { path: path.to_owned(), writes: false }
    }

    fn file(&self, name: &str, options: &OpenOptions) -> io::Result<Arc<dyn DiskFile>> {
        Ok(Arc::new(options.open(self.path.join(name))?))
    }
}

impl Disk for Folder {
    fn lock(&self) -> io::Result<Box<dyn DiskLock>> {
        let file = OpenOptions::new().create(true).append(true).open(self.path.join(LOCK))?;
        let patience = Instant::now() + LOOKS_LAST;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Box::new(file)),
                Err(TryLockError::WouldBlock) if Instant::now() < patience => std::thread::sleep(LOOKS_LAST / 20),
                Err(TryLockError::WouldBlock) => return Err(io::ErrorKind::WouldBlock.into()),
                Err(TryLockError::Error(error)) => return Err(error),
            }
        }
    }

    fn is_locked(&self) -> io::Result<bool> {
        // Shared, so that readers that look at the same time do not take each other for a writer.
        let file = match File::open(self.path.join(LOCK)) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(error),
        };
        match file.try_lock_shared() {
            Ok(()) => Ok(false),
            Err(TryLockError::WouldBlock) => Ok(true),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    fn list(&self) -> io::Result<Vec<String>> {
        let entries = std::fs::read_dir(&self.path)?;
        entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        self.file(name, OpenOptions::new().read(true).write(true).create(true).truncate(true))
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        self.file(name, OpenOptions::new().read(true).write(self.writes))
    }

    #[expect(unsafe_code, reason = "reading an index in place instead of by system calls makes a lookup several times faster")]
    fn map(&self, name: &str) -> io::Result<Bytes> {
        let file = File::open(self.path.join(name))?;
        // SAFETY: the map must not change while it is used. Only index runs are mapped: they are written under another name,
        // renamed when they are complete, and from then on only removed, which leaves a map intact.
        let map = unsafe { memmap2::Mmap::map(&file)? };
        Ok(Bytes::from_owner(map))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        std::fs::rename(self.path.join(from), self.path.join(to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        std::fs::remove_file(self.path.join(name))
    }

    fn sync_names(&self) -> io::Result<()> {
        File::open(&self.path)?.sync_all()
    }
}

impl DiskFile for File {
    fn len(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.read_exact_at(buffer, offset)
    }

    fn read_cached_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let read = rustix::io::preadv2(self, &mut [IoSliceMut::new(buffer)], offset, ReadWriteFlags::NOWAIT);
        match read {
            Ok(len) if len == buffer.len() => Ok(()),
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => self.read_exact_at(buffer, offset),
            // A part of them is no help; nor is the end of the file, which a read that waits will tell.
            Ok(_) => Err(io::ErrorKind::WouldBlock.into()),
            Err(error) => Err(error.into()),
        }
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.write_all_at(bytes, offset)
    }

    fn allocate(&self, offset: u64, len: u64) -> io::Result<()> {
        match rustix::fs::fallocate(self, FallocateFlags::empty(), offset, len) {
            Err(Errno::OPNOTSUPP | Errno::INVAL) => self.fill(offset, len),
            result => Ok(result?),
        }
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        File::set_len(self, len)
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }
}

impl DiskLock for File {}
