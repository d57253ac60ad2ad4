//! The store that the arguments mean: a folder, opened to read or to write.

use std::path::{Path, PathBuf};

use factum::{StoreError, StoreErrorKind};
use factum_embedded::EmbeddedStore;

use crate::exit::Failure;

/// Where the store is.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    dir: PathBuf,
}

impl Target {
    /// The store in a folder.
    pub(crate) fn new(dir: PathBuf) -> Self {
        Self { dir }
    }

    /// The folder.
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Opens the store as its one writer, and creates it where there is none.
    pub(crate) fn writer(&self) -> Result<EmbeddedStore, Failure> {
        self.check()?;
        Ok(factum_embedded::open(&self.dir)?)
    }

    /// Opens the store to read it, beside a writer where there is one.
    pub(crate) fn reader(&self) -> Result<EmbeddedStore, Failure> {
        self.check()?;
        factum_embedded::open_read_only(&self.dir).map_err(|error| self.missing(error))
    }

    /// Refuses a file in place of a folder.
    pub(crate) fn check(&self) -> Result<(), Failure> {
        match self.dir.is_file() {
            true => Err(Failure::failed(format!("{} is a file: name a store's folder with --dir", self.dir.display()))),
            false => Ok(()),
        }
    }

    /// A failure of a reader, in words for its user.
    pub(crate) fn missing(&self, error: StoreError) -> Failure {
        if error.kind() != StoreErrorKind::NotFound {
            return error.into();
        }
        let dir = self.dir.display();
        Failure::not_found(format!("there is no store in {dir}")).hint(format!(
            "name the store's folder with --dir, or create it with a first event: \
             factum --dir {dir} append STREAM --type TYPE --data '{{}}'"
        ))
    }
}
