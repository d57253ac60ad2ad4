//! Writing a run: its sections side by side, each from its beginning to its end.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use uuid::Uuid;

use super::run::{Buckets, RunHeader, SECTIONS, Section};
use super::{Active, Resume, Source, postings};
use crate::disk::{Disk, DiskFile};

/// What is known of a run before it is written.
pub(super) struct Plan {
    pub(super) log_id: Uuid,
    pub(super) first: u64,
    pub(super) events: u64,
    pub(super) terms: u64,
    pub(super) id_range: (Uuid, Uuid),
    pub(super) resume: Resume,
    pub(super) marks: BTreeMap<String, u64>,
}

/// Writes the run of the newest events; returns its name.
pub(crate) fn write_active(disk: &dyn Disk, log_id: Uuid, active: &Active) -> io::Result<String> {
    let plan = Plan {
        log_id,
        first: active.first(),
        events: u64::from(active.events()),
        terms: active.lists.len() as u64,
        id_range: active.id_range.unwrap_or_default(),
        resume: active.resume,
        marks: active.marks.clone(),
    };
    let mut writer = RunWriter::create(disk, plan)?;
    for offset in &active.offsets {
        writer.offset(&offset.to_le_bytes())?;
    }
    let mut ids: Vec<u64> = active.ids.iter().map(|(hash, ordinal)| id_entry(*hash, *ordinal)).collect();
    ids.sort_unstable();
    for id in ids {
        writer.id(id)?;
    }
    let mut hashes: Vec<u128> = active.lists.keys().copied().collect();
    hashes.sort_unstable();
    for hash in hashes {
        let list = &active.lists[&hash];
        writer.term(hash, list.first_version, list.ordinals())?;
    }
    writer.finish()
}

/// What the ids section holds of an event.
fn id_entry(hash: u128, ordinal: u32) -> u64 {
    (hash >> 96) as u64 * (1 << 32) + u64::from(ordinal)
}

/// A run that is being written, under a name that recovery removes.
pub(super) struct RunWriter<'a> {
    disk: &'a dyn Disk,
    file: Arc<dyn DiskFile>,
    name: String,
    plan: Plan,
    offsets: SectionWriter,
    ids: SectionWriter,
    hashes: SectionWriter,
    lists: SectionWriter,
    postings: SectionWriter,
    id_buckets: BucketCounts,
    term_buckets: BucketCounts,
    marks: Vec<u8>,
    encoded: Vec<u8>,
}

impl<'a> RunWriter<'a> {
    pub(super) fn create(disk: &'a dyn Disk, plan: Plan) -> io::Result<Self> {
        let name = format!("{:016}-{:016}.idx", plan.first, plan.first + plan.events - 1);
        let file = disk.create(&temporary(&name))?;
        let marks = encode_marks(&plan.marks);
        let layout = plan.header(marks.len(), 0).layout().ok_or_else(|| io::Error::other("too many events for one run"))?;
        let section = |section: Section| SectionWriter::new(&file, layout[section as usize]);
        Ok(Self {
            disk,
            name,
            offsets: section(Section::Offsets),
            ids: section(Section::Ids),
            hashes: section(Section::Hashes),
            lists: section(Section::Lists),
            postings: section(Section::Postings),
            id_buckets: BucketCounts::new(plan.events),
            term_buckets: BucketCounts::new(plan.terms),
            marks,
            encoded: Vec::new(),
            file,
            plan,
        })
    }

    /// Offsets, in the order of their events, as they are written.
    pub(super) fn offset(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.offsets.write(bytes)
    }

    /// The next id, in their order.
    pub(super) fn id(&mut self, entry: u64) -> io::Result<()> {
        self.id_buckets.add(entry);
        self.ids.write(&entry.to_le_bytes())
    }

    /// The next term, in the order of their hashes.
    pub(super) fn term(&mut self, hash: u128, first_version: u64, ordinals: &[u32]) -> io::Result<()> {
        let high = (hash >> 64) as u64;
        self.term_buckets.add(high);
        self.hashes.write(&high.to_le_bytes())?;
        let start = match ordinals {
            [one] => *one,
            _ => {
                let start = u32::try_from(self.postings.len).map_err(io::Error::other)?;
                self.encoded.clear();
                postings::encode(ordinals, &mut self.encoded);
                self.postings.write(&self.encoded)?;
                start
            }
        };
        self.lists.write(&(hash as u64).to_le_bytes())?;
        self.lists.write(&start.to_le_bytes())?;
        self.lists.write(&(ordinals.len() as u32).to_le_bytes())?;
        self.lists.write(&first_version.to_le_bytes())
    }

    /// Makes the run durable, gives it its name and returns that.
    pub(super) fn finish(self) -> io::Result<String> {
        let mut header = self.plan.header(self.marks.len(), self.postings.len);
        let layout = header.layout().ok_or_else(|| io::Error::other("too many terms for one run"))?;
        let mut buckets = SectionWriter::new(&self.file, layout[Section::Buckets as usize]);
        buckets.write(&self.id_buckets.starts())?;
        buckets.write(&self.term_buckets.starts())?;
        let mut marks = SectionWriter::new(&self.file, layout[Section::Marks as usize]);
        marks.write(&self.marks)?;
        let sections = [self.offsets, self.ids, self.hashes, self.lists, buckets, marks, self.postings];
        let mut checksums = [0; SECTIONS];
        for (checksum, section) in checksums.iter_mut().zip(sections) {
            *checksum = section.finish()?;
        }
        header.checksums = checksums;
        self.file.write_at(&header.encode(), 0)?;
        // A run is trusted by its header alone, so all of it is made durable before it gets its name.
        self.file.sync()?;
        self.disk.rename(&temporary(&self.name), &self.name)?;
        self.disk.sync_names()?;
        Ok(self.name)
    }
}

impl Plan {
    fn header(&self, marks_len: usize, postings_len: u64) -> RunHeader {
        RunHeader {
            log_id: self.log_id,
            first: self.first,
            events: self.events,
            terms: self.terms,
            postings_len,
            marks_len: marks_len as u64,
            id_range: self.id_range,
            resume: self.resume,
            checksums: [0; SECTIONS],
        }
    }
}

fn temporary(name: &str) -> String {
    format!("{name}.tmp")
}

fn encode_marks(marks: &BTreeMap<String, u64>) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (consumer, through) in marks {
        bytes.extend_from_slice(&(consumer.len() as u32).to_le_bytes());
        bytes.extend_from_slice(consumer.as_bytes());
        bytes.extend_from_slice(&through.to_le_bytes());
    }
    bytes
}

/// A section that is written in pieces.
struct SectionWriter {
    file: Arc<dyn DiskFile>,
    at: u64,
    len: u64,
    buffer: Vec<u8>,
    checksum: u32,
}

impl SectionWriter {
    /// How much is gathered before it is written.
    const BUFFER_BYTES: usize = 256 << 10;

    fn new(file: &Arc<dyn DiskFile>, at: u64) -> Self {
        Self { file: Arc::clone(file), at, len: 0, buffer: Vec::new(), checksum: 0 }
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.buffer.extend_from_slice(bytes);
        self.len += bytes.len() as u64;
        if Self::BUFFER_BYTES <= self.buffer.len() { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.checksum = crc32c::crc32c_append(self.checksum, &self.buffer);
        self.file.write_at(&self.buffer, self.at)?;
        self.at += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }

    /// Writes what is left, up to the next section, and returns the checksum.
    fn finish(mut self) -> io::Result<u32> {
        let padding = self.len.next_multiple_of(8) - self.len;
        self.write(&[0; 8][..padding as usize])?;
        self.flush()?;
        Ok(self.checksum)
    }
}

/// How many keys each bucket has, while they are written.
struct BucketCounts {
    buckets: Buckets,
    counts: Vec<u32>,
}

impl BucketCounts {
    fn new(keys: u64) -> Self {
        let buckets = Buckets::new(keys);
        Self { buckets, counts: vec![0; buckets.len()] }
    }

    fn add(&mut self, key: u64) {
        self.counts[self.buckets.of(key) + 1] += 1;
    }

    /// Where each bucket begins, and the end of the last.
    fn starts(&self) -> Vec<u8> {
        let mut start = 0;
        let starts = self.counts.iter().map(|count| {
            start += count;
            start.to_le_bytes()
        });
        starts.flatten().collect()
    }
}
