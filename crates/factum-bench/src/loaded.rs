//! The loaded data sets: each is loaded once, by the first row that needs it.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};

use crate::child::Child;
use crate::command::{Command, Memory, Sample};
use crate::config::Size;
use crate::system::System;
use crate::table::{rate, short};
use crate::workload::DataSet;

/// The data sets that were loaded so far.
pub(crate) struct Loaded {
    folder: PathBuf,
    loads: HashMap<(System, u64), Load>,
}

/// A loaded data set, as it was right after loading and closing.
#[derive(Debug, Clone)]
pub(crate) struct Load {
    /// Where it is.
    pub folder: PathBuf,
    /// How the loading went.
    pub sample: Sample,
    /// The memory of the process that loaded.
    pub memory: Memory,
    /// What the folder took on disk, in bytes.
    pub disk_bytes: u64,
}

impl Loaded {
    /// None yet; they go to this folder.
    pub(crate) fn new(folder: &Path) -> Self {
        Self { folder: folder.join("loaded"), loads: HashMap::new() }
    }

    /// A system's data set; loads it the first time.
    ///
    /// # Errors
    /// Where loading fails, or not every event can be read afterwards.
    pub(crate) fn load(&mut self, system: System, set: DataSet) -> Result<Load> {
        if let Some(load) = self.loads.get(&(system, set.events)) {
            return Ok(load.clone());
        }
        let load = load(system, set, self.folder.join(format!("{}-{}", system.name(), set.events)))?;
        self.loads.insert((system, set.events), load.clone());
        Ok(load)
    }

    /// A process of each system, with the data set open.
    ///
    /// # Errors
    /// Where loading or opening fails.
    pub(crate) fn open_all(&mut self, size: &Size) -> Result<Vec<(System, Child)>> {
        let open = |&system: &System| Ok((system, Child::start(system, &self.load(system, size.set)?.folder)?));
        size.systems.iter().map(open).collect()
    }
}

fn load(system: System, set: DataSet, folder: PathBuf) -> Result<Load> {
    eprint!("loading {} events into {} … ", short(set.events as f64), system.name());
    let mut child = Child::start(system, &folder)?;
    let sample = child.measure(&Command::Load { events: set.events })?;
    let memory = child.memory()?;
    let closed = child.close()?;
    eprintln!("{}, closed in {:.3} s", rate(sample.event_rate()), closed.seconds);
    let disk_bytes = disk_bytes(&folder)?;
    let mut child = Child::start(system, &folder)?;
    let kept = child.measure(&Command::ReadAll)?.events;
    ensure!(kept == set.events, "{system:?} keeps {kept} events of the {} that were loaded", set.events);
    child.close()?;
    Ok(Load { folder, sample, memory, disk_bytes })
}

/// The bytes that the files of a folder take on disk.
fn disk_bytes(folder: &Path) -> Result<u64> {
    use std::os::unix::fs::MetadataExt;
    /// What a file's blocks are counted in, whatever the file system's own blocks are.
    const BLOCK: u64 = 512;
    let mut bytes = 0;
    for entry in std::fs::read_dir(folder)? {
        bytes += entry?.metadata()?.blocks() * BLOCK;
    }
    Ok(bytes)
}
