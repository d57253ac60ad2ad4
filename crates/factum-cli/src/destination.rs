//! Where an export goes: stdout, or a file that is there when it is complete.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::PathBuf;

use crate::exit::Failure;

/// Stdout, or a file: until it is complete it has `.part` after its name, and is removed if it never is.
/// What is there already and is no plain file, such as a link, a pipe or a device, is written to as it is.
pub(crate) enum Destination {
    Stdout,
    Written { path: PathBuf },
    Replaced { part: PathBuf, path: PathBuf },
}

impl Destination {
    /// The file, or stdout where there is none.
    pub(crate) fn new(file: Option<PathBuf>) -> Self {
        let Some(path) = file else { return Self::Stdout };
        if fs::symlink_metadata(&path).is_ok_and(|metadata| !metadata.is_file()) {
            return Self::Written { path };
        }
        let mut part = OsString::from(&path);
        part.push(".part");
        Self::Replaced { part: part.into(), path }
    }

    /// Opens it to be written.
    pub(crate) fn writer(&self) -> Result<Box<dyn Write>, Failure> {
        let out: Box<dyn Write> = match self {
            Self::Stdout => Box::new(io::stdout()),
            Self::Written { path } | Self::Replaced { part: path, .. } => {
                Box::new(File::create(path).map_err(|error| Failure::file(path, &error))?)
            }
        };
        Ok(Box::new(BufWriter::with_capacity(1 << 16, out)))
    }

    /// Gives the file its name.
    pub(crate) fn complete(self) -> Result<(), Failure> {
        match &self {
            Self::Stdout | Self::Written { .. } => Ok(()),
            Self::Replaced { part, path } => fs::rename(part, path).map_err(|error| Failure::file(path, &error)),
        }
    }
}

impl Drop for Destination {
    fn drop(&mut self) {
        if let Self::Replaced { part, .. } = self {
            // It is gone where the file was completed; else it is the failure before that the user is told of.
            let _ = fs::remove_file(part);
        }
    }
}
