//! A disk: all that the engine asks of files, so that a test can be the disk.

use std::fmt;
use std::io;
use std::sync::Arc;

use bytes::Bytes;

/// A folder of files, named without separators. Everything that the engine reads or writes goes through here.
///
/// Nothing is durable before it is synced: a file's bytes by [`DiskFile::sync`], and that the file is there, under its name
/// and not another's, by [`Disk::sync_names`].
pub trait Disk: fmt::Debug + Send + Sync + 'static {
    /// Takes the folder for one writer, until the lock is dropped; refused with [`io::ErrorKind::WouldBlock`] while another
    /// has it.
    fn lock(&self) -> io::Result<Box<dyn DiskLock>>;

    /// Whether a writer has the folder.
    fn is_locked(&self) -> io::Result<bool> {
        match self.lock() {
            Ok(_) => Ok(false),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(true),
            Err(error) => Err(error),
        }
    }

    /// The names of the files, in any order.
    fn list(&self) -> io::Result<Vec<String>>;

    /// Creates a file, empty; one that is there already is emptied.
    fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>>;

    /// Opens a file to read, and to write where this disk may.
    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>>;

    /// All of a file that nobody changes any more, read as it is used.
    fn map(&self, name: &str) -> io::Result<Bytes> {
        let file = self.open(name)?;
        let len = usize::try_from(file.len()?).map_err(io::Error::other)?;
        let mut bytes = vec![0; len];
        file.read_at(&mut bytes, 0)?;
        Ok(bytes.into())
    }

    /// Gives a file another name, in place of the file that has it.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Removes a file.
    fn remove(&self, name: &str) -> io::Result<()>;

    /// Makes all creations, renames and removals so far durable.
    fn sync_names(&self) -> io::Result<()>;
}

/// An open file. Offsets and lengths are in bytes from its start.
#[expect(clippy::len_without_is_empty, reason = "nobody asks a file whether it is empty")]
pub trait DiskFile: fmt::Debug + Send + Sync {
    /// How long it is.
    fn len(&self) -> io::Result<u64>;

    /// Fills the buffer from an offset on; fails with [`io::ErrorKind::UnexpectedEof`] where the file ends before that.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()>;

    /// As [`read_at`](Self::read_at), but fails with [`io::ErrorKind::WouldBlock`] where the bytes are not in memory.
    fn read_cached_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.read_at(buffer, offset)
    }

    /// Writes all of the bytes at an offset, making the file longer where it must.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;

    /// Writes zeros from an offset, which is the file's end, so that what is written over them changes nothing but bytes.
    fn fill(&self, offset: u64, len: u64) -> io::Result<()> {
        const ZEROS: &[u8] = &[0; 64 << 10];
        let end = offset + len;
        let mut at = offset;
        while at < end {
            let zeros = &ZEROS[..ZEROS.len().min((end - at) as usize)];
            self.write_at(zeros, at)?;
            at += zeros.len() as u64;
        }
        Ok(())
    }

    /// Makes room from an offset, which is the file's end, for this many bytes, which read as zeros: cheaper than to fill it up,
    /// where much is written over it at once.
    fn allocate(&self, offset: u64, len: u64) -> io::Result<()> {
        self.fill(offset, len)
    }

    /// Cuts the file off, or fills it up with zeros.
    fn set_len(&self, len: u64) -> io::Result<()>;

    /// Makes the bytes and the length durable. After a failure it is unknown which bytes are, and a retry would not tell.
    fn sync(&self) -> io::Result<()>;
}

/// Holds the folder's lock; dropping it gives it back.
pub trait DiskLock: Send + Sync {}
