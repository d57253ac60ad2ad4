//! What the disk allows: bytes and syncs, and no store around them.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::Tally;
use crate::command::Sample;
use crate::stats::Latencies;
use crate::workload;

/// Bytes of the file that is written round and round.
const FILE_BYTES: u64 = 256 << 20;
/// Bytes in a read.
const CHUNK: usize = 256 << 10;

/// A file of zeros, written and synced once, so that no write has to allocate.
pub(crate) struct Bare {
    file: File,
    offset: u64,
}

impl Bare {
    /// Makes the file.
    pub(crate) fn open(folder: &Path) -> Result<Self> {
        let file = File::create(folder.join("bare"))?;
        let zeros = vec![0; CHUNK];
        for offset in (0..FILE_BYTES).step_by(CHUNK) {
            file.write_all_at(&zeros, offset)?;
        }
        file.sync_all()?;
        Ok(Self { file, offset: 0 })
    }

    /// Writes and syncs the bytes of one append of each writer, again and again.
    pub(crate) fn append(&mut self, writers: usize, events: usize, window: Duration) -> Result<Sample> {
        let batch = batch(writers, events);
        ensure!(batch.len() as u64 <= FILE_BYTES, "the appends of all writers do not fit into the file");
        let mut latencies = Latencies::default();
        let start = Instant::now();
        while start.elapsed() < window {
            let called = Instant::now();
            if FILE_BYTES < self.offset + batch.len() as u64 {
                self.offset = 0;
            }
            self.file.write_all_at(&batch, self.offset)?;
            self.file.sync_data()?;
            self.offset += batch.len() as u64;
            latencies.add(called.elapsed());
        }
        let calls = latencies.count() * writers as u64;
        Ok(Sample { events: calls * events as u64, ..Sample::new(calls, start.elapsed(), &mut latencies) })
    }
}

/// Reads the folder's files whose names end like this, and checks their bytes as a reader must, decoding nothing.
pub(crate) fn read_files(folder: &Path, ending: &str) -> Result<Tally> {
    let mut tally = Tally::default();
    let mut buffer = vec![0; CHUNK];
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if !path.to_string_lossy().ends_with(ending) {
            continue;
        }
        let file = File::open(&path).with_context(|| format!("cannot open {}", path.display()))?;
        tally.bytes += read_file(&file, &mut buffer)?;
    }
    ensure!(0 < tally.bytes, "no file in {} ends with {ending}", folder.display());
    Ok(tally)
}

fn read_file(file: &File, buffer: &mut [u8]) -> io::Result<u64> {
    let (mut checksum, mut offset) = (0, 0);
    loop {
        let count = file.read_at(buffer, offset)?;
        if count == 0 {
            std::hint::black_box(checksum);
            return Ok(offset);
        }
        checksum = crc32c::crc32c_append(checksum, &buffer[..count]);
        offset += count as u64;
    }
}

/// One append of each writer, as bare as it can be: its events' own bytes, one after the other.
fn batch(writers: usize, events: usize) -> Vec<u8> {
    let mut batch = Vec::new();
    for writer in 0..writers {
        for number in 0..events as u64 {
            let event = workload::of_writer(&workload::writer_stream(writer), number);
            batch.extend_from_slice(&event.data);
            [event.stream.as_str(), event.event_type].into_iter().for_each(|text| batch.extend_from_slice(text.as_bytes()));
            event.tags.iter().for_each(|tag| batch.extend_from_slice(tag.as_bytes()));
        }
    }
    batch
}
