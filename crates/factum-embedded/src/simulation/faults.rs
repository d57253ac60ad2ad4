//! Which operations fail, and how.

use std::io;

/// How an operation fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// A sync of a file fails. Any of its unsynced bytes may be durable or not, all of them are read as if they were, and no
    /// later sync makes them so unless they are written again: what Linux does.
    Sync,
    /// A sync of the names fails. A later one makes up for it: a file system's journal loses nothing without stopping.
    SyncNames,
    /// A write fails; nothing of it is there.
    Write,
    /// A write fails after this many of its bytes, which are there.
    ShortWrite(usize),
    /// A read fails.
    Read,
}

/// The faults to come.
#[derive(Debug, Default)]
pub(super) struct Faults(Vec<Due>);

#[derive(Debug)]
struct Due {
    fault: Fault,
    /// What the file's name ends with.
    suffix: String,
    /// The operations until then, it included.
    countdown: u64,
}

/// What a fault can befall.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Act {
    Sync,
    SyncNames,
    Write,
    Read,
}

impl Fault {
    fn act(self) -> Act {
        match self {
            Self::Sync => Act::Sync,
            Self::SyncNames => Act::SyncNames,
            Self::Write | Self::ShortWrite(_) => Act::Write,
            Self::Read => Act::Read,
        }
    }
}

impl Faults {
    pub(super) fn add(&mut self, fault: Fault, suffix: &str, nth: u64) {
        self.0.push(Due { fault, suffix: suffix.to_owned(), countdown: nth.max(1) });
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Counts an operation; the fault that befalls it, if any.
    pub(super) fn count(&mut self, act: Act, name: &str) -> Option<Fault> {
        for due in self.0.iter_mut().filter(|due| due.fault.act() == act && name.ends_with(&due.suffix)) {
            due.countdown -= 1;
        }
        let at = self.0.iter().position(|due| due.countdown == 0)?;
        Some(self.0.remove(at).fault)
    }
}

/// EIO: an error number, as a disk gives it.
pub(super) fn input_output_error() -> io::Error {
    io::Error::from_raw_os_error(5)
}
