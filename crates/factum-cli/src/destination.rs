//! Where an export goes: stdout, or a file that is there when it is complete.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::PathBuf;

use crate::exit::Failure;

/// Stdout, or a file: until it is complete it has `.part` after its name, and is removed if it never is.
pub(crate) struct Destination {
    file: Option<(PathBuf, PathBuf)>,
}

impl Destination {
    /// The file, or stdout where there is none.
    pub(crate) fn new(file: Option<PathBuf>) -> Self {
        let with_part = |path: PathBuf| {
            let mut part = OsString::from(&path);
            part.push(".part");
            (PathBuf::from(part), path)
        };
        Self { file: file.map(with_part) }
    }

    /// Opens it to be written.
    pub(crate) fn writer(&self) -> Result<Box<dyn Write>, Failure> {
        let out: Box<dyn Write> = match &self.file {
            None => Box::new(io::stdout()),
            Some((part, _)) => Box::new(File::create(part).map_err(|error| Failure::file(part, &error))?),
        };
        Ok(Box::new(BufWriter::with_capacity(1 << 16, out)))
    }

    /// Gives the file its name.
    pub(crate) fn complete(mut self) -> Result<(), Failure> {
        match self.file.take() {
            None => Ok(()),
            Some((part, path)) => fs::rename(&part, &path).map_err(|error| Failure::file(&path, &error)),
        }
    }
}

impl Drop for Destination {
    fn drop(&mut self) {
        if let Some((part, _)) = &self.file {
            // It is the failure before that the user is told of.
            let _ = fs::remove_file(part);
        }
    }
}
