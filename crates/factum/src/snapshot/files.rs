//! Snapshots in a folder: a file for each stream.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{Position, SavedSnapshot, SnapshotStore, StoreError, StoreErrorKind, StreamName, Version};

/// Snapshots in a folder, each in a file that is replaced whole. Clones share the folder.
///
/// A file that is damaged, or no snapshot, counts as none. Files are not synced: what a power loss takes is made again from the
/// events. Reading and writing hold up the thread for the time that one small file takes.
#[derive(Debug, Clone)]
pub struct FileSnapshots {
    folder: PathBuf,
    /// One writer at a time, so that no two write one file.
    writing: Arc<Mutex<()>>,
}

/// The first line of a file; the state, as it is, is the rest.
#[derive(Clone, Serialize, Deserialize)]
struct Header {
    /// Of everything else, so that a damaged file is known.
    digest: String,
    stream: String,
    schema: u32,
    version: u64,
    position: u64,
    event_id: String,
}

impl FileSnapshots {
    /// Keeps snapshots in this folder, which is created where it is missing.
    ///
    /// # Errors
    /// [`StoreError`] where the folder cannot be created.
    pub fn new(folder: impl Into<PathBuf>) -> Result<Self, StoreError> {
        let folder = folder.into();
        fs::create_dir_all(&folder).map_err(|error| failed("create the folder", &folder, error))?;
        Ok(Self { folder, writing: Arc::default() })
    }

    /// The file of a stream: named by a hash, since a stream's name can be longer than a file's, and have any character.
    fn file(&self, stream: &StreamName) -> PathBuf {
        self.folder.join(format!("{}.snapshot", digest(stream.as_str().as_bytes())))
    }

    fn write(&self, file: &Path, text: &[u8]) -> io::Result<()> {
        // It guards no value that a panic could leave half changed.
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let unfinished = file.with_extension("unfinished");
        fs::write(&unfinished, text)?;
        fs::rename(&unfinished, file)
    }
}

impl SnapshotStore for FileSnapshots {
    async fn find(&self, stream: &StreamName) -> Result<Option<SavedSnapshot>, StoreError> {
        let file = self.file(stream);
        match fs::read(&file) {
            Ok(text) => Ok(parse(&text.into())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(failed("read", &file, error)),
        }
    }

    async fn save(&self, snapshot: SavedSnapshot) -> Result<(), StoreError> {
        let file = self.file(&snapshot.stream);
        self.write(&file, &print(&snapshot)).map_err(|error| failed("write", &file, error))
    }
}

fn print(snapshot: &SavedSnapshot) -> Vec<u8> {
    let mut header = Header {
        digest: String::new(),
        stream: snapshot.stream.to_string(),
        schema: snapshot.schema,
        version: snapshot.version.get(),
        position: snapshot.position.get(),
        event_id: snapshot.event_id.to_string(),
    };
    header.digest = header.digest_with(&snapshot.state);
    [&header.line(), snapshot.state.as_ref()].concat()
}

fn parse(text: &Bytes) -> Option<SavedSnapshot> {
    let end = text.iter().position(|&byte| byte == b'\n')?;
    let header: Header = serde_json::from_slice(&text[..end]).ok()?;
    let state = text.slice(end + 1..);
    if header.digest != header.digest_with(&state) {
        return None;
    }
    let Header { stream, schema, version, position, event_id, .. } = header;
    Some(SavedSnapshot {
        stream: StreamName::new(stream).ok()?,
        schema,
        version: Version::new(version),
        position: Position::new(position),
        event_id: event_id.parse().ok()?,
        state,
    })
}

impl Header {
    fn line(&self) -> Vec<u8> {
        let mut line = serde_json::to_vec(self).expect("numbers, ids and a text are always JSON");
        line.push(b'\n');
        line
    }

    /// The digest of the header without its digest, and of the state.
    fn digest_with(&self, state: &[u8]) -> String {
        let undigested = Self { digest: String::new(), ..self.clone() };
        digest(&[&undigested.line(), state].concat())
    }
}

/// A hash as a UUID (RFC 9562, version 5), which is at hand and long enough to know a damaged file by.
fn digest(bytes: &[u8]) -> String {
    Uuid::new_v5(&Uuid::NAMESPACE_OID, bytes).to_string()
}

fn failed(to: &str, path: &Path, error: io::Error) -> StoreError {
    StoreError::new(StoreErrorKind::Unavailable, format!("failed to {to} {}: {error}", path.display())).caused_by(error)
}
