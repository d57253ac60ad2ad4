//! A run: the index of a stretch of the log, on disk and never changed.

use bytes::Bytes;
use factum::Direction;
use uuid::Uuid;

use super::cursor::{Cursor, SliceCursor};
use super::postings::Postings;
use super::{List, Resume, Source};
use crate::format::{Fields, array, put};

/// What a run's file begins with.
///
/// ```text
/// offset  bytes  field
///      0      8  magic "FACTIDX1"
///      8      4  format, 1
///     12      4  length of this header, 256
///     16     16  log id
///     32      8  position of the first event
///     40      8  events
///     48      8  terms
///     56      8  length of the postings, in bytes
///     64      8  length of the marks, in bytes
///     72     16  the least event id
///     88     16  the greatest event id
///    104     32  where the log goes on: segment, end of the last frame, offset of the last frame, time of the last event
///    136      4  checksum of the last frame's header
///    140     28  CRC-32C of each section, in their order
///    252      4  CRC-32C of the bytes before
/// ```
/// Then the sections, each begun at a multiple of 8:
/// ```text
/// offsets   4 bytes an event   where its record is in its segment, in units of 8 bytes
/// ids       8 bytes an event   the top 32 bits of the id's hash, then the event's ordinal; sorted
/// hashes    8 bytes a term     the high half of its hash; sorted
/// lists    24 bytes a term     the low half of its hash; in 4 bytes, where it starts in the postings, or the one ordinal;
///                              in 4, how many events; in 8, the first version
/// buckets   4 bytes a bucket   the first id of each bucket of ids, then the first term of each bucket of terms
/// marks                        consumers: length of the name in 4 bytes, the name, through where in 8
/// postings                     see `postings.rs`
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RunHeader {
    pub(super) log_id: Uuid,
    pub(super) first: u64,
    pub(super) events: u64,
    pub(super) terms: u64,
    pub(super) postings_len: u64,
    pub(super) marks_len: u64,
    pub(super) id_range: (Uuid, Uuid),
    pub(super) resume: Resume,
    pub(super) checksums: [u32; SECTIONS],
}

const MAGIC: &[u8; 8] = b"FACTIDX1";
const FORMAT: u32 = 1;
const CHECKSUM: usize = RunHeader::BYTES - 4;
const CHECKSUMS: usize = 140;
/// How many sections a run has.
pub(super) const SECTIONS: usize = 7;
/// The bytes of a term's list entry.
pub(super) const LIST_BYTES: usize = 24;
/// The most events in a run.
pub(crate) const RUN_EVENTS_MAX: u64 = 1 << 25;

/// The sections, by their place in the file.
#[derive(Debug, Clone, Copy)]
pub(super) enum Section {
    Offsets,
    Ids,
    Hashes,
    Lists,
    Buckets,
    Marks,
    Postings,
}

impl RunHeader {
    pub(super) const BYTES: usize = 256;

    pub(super) fn encode(&self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        put(&mut bytes, 0, MAGIC);
        put(&mut bytes, 8, &FORMAT.to_le_bytes());
        put(&mut bytes, 12, &(Self::BYTES as u32).to_le_bytes());
        put(&mut bytes, 16, self.log_id.as_bytes());
        let numbers = [self.first, self.events, self.terms, self.postings_len, self.marks_len];
        for (n, number) in numbers.into_iter().enumerate() {
            put(&mut bytes, 32 + n * 8, &number.to_le_bytes());
        }
        put(&mut bytes, 72, self.id_range.0.as_bytes());
        put(&mut bytes, 88, self.id_range.1.as_bytes());
        let resume = [self.resume.segment, self.resume.end, self.resume.frame, self.resume.time_us.cast_unsigned()];
        for (n, number) in resume.into_iter().enumerate() {
            put(&mut bytes, 104 + n * 8, &number.to_le_bytes());
        }
        put(&mut bytes, 136, &self.resume.checksum.to_le_bytes());
        for (n, checksum) in self.checksums.into_iter().enumerate() {
            put(&mut bytes, CHECKSUMS + n * 4, &checksum.to_le_bytes());
        }
        let checksum = crc32c::crc32c(&bytes[..CHECKSUM]);
        put(&mut bytes, CHECKSUM, &checksum.to_le_bytes());
        bytes
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let bytes = bytes.get(..Self::BYTES)?;
        if &bytes[..8] != MAGIC || bytes.u32_at(8) != FORMAT || bytes.u32_at(CHECKSUM) != crc32c::crc32c(&bytes[..CHECKSUM]) {
            return None;
        }
        Some(Self {
            log_id: Uuid::from_bytes(array(bytes, 16)),
            first: bytes.u64_at(32),
            events: bytes.u64_at(40),
            terms: bytes.u64_at(48),
            postings_len: bytes.u64_at(56),
            marks_len: bytes.u64_at(64),
            id_range: (Uuid::from_bytes(array(bytes, 72)), Uuid::from_bytes(array(bytes, 88))),
            resume: Resume {
                segment: bytes.u64_at(104),
                end: bytes.u64_at(112),
                frame: bytes.u64_at(120),
                time_us: bytes.u64_at(128).cast_signed(),
                checksum: bytes.u32_at(136),
            },
            checksums: std::array::from_fn(|n| bytes.u32_at(CHECKSUMS + n * 4)),
        })
    }

    /// Where each section begins, and, last, the end of the file.
    pub(super) fn layout(&self) -> Option<[u64; SECTIONS + 1]> {
        if RUN_EVENTS_MAX < self.events || u64::from(u32::MAX) < self.terms {
            return None;
        }
        let buckets = Buckets::new(self.events).len() + Buckets::new(self.terms).len();
        let lens = [
            self.events * 4,
            self.events * 8,
            self.terms * 8,
            self.terms * LIST_BYTES as u64,
            buckets as u64 * 4,
            self.marks_len,
            self.postings_len,
        ];
        let mut starts = [Self::BYTES as u64; SECTIONS + 1];
        for (n, len) in lens.into_iter().enumerate() {
            starts[n + 1] = starts[n].checked_add(len)?.checked_next_multiple_of(8)?;
        }
        Some(starts)
    }
}

/// Sorted keys of 64 bits in buckets by their top bits, of about 8 keys each.
#[derive(Debug, Clone, Copy)]
pub(super) struct Buckets {
    bits: u32,
}

impl Buckets {
    pub(super) fn new(keys: u64) -> Self {
        Self { bits: (keys / 8).checked_ilog2().unwrap_or(0) }
    }

    /// How many starts are kept: one a bucket and the end.
    pub(super) fn len(self) -> usize {
        (1 << self.bits) + 1
    }

    pub(super) fn of(self, key: u64) -> usize {
        key.checked_shr(u64::BITS - self.bits).unwrap_or(0) as usize
    }
}

/// A run, read in place.
#[derive(Debug)]
pub(crate) struct Run {
    header: RunHeader,
    layout: [u64; SECTIONS + 1],
    bytes: Bytes,
    name: String,
}

impl Run {
    /// The run of a file; `None` where it is none, or is cut off. The sections' checksums are left to [`verify`](Self::verify).
    pub(crate) fn open(name: &str, bytes: Bytes) -> Option<Self> {
        let header = RunHeader::decode(&bytes)?;
        let layout = header.layout()?;
        (layout[SECTIONS] == bytes.len() as u64).then(|| Self { header, layout, bytes, name: name.to_owned() })
    }

    /// The name of the file.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The file's length, in bytes.
    pub(crate) fn len(&self) -> u64 {
        self.bytes.len() as u64
    }

    /// All of the file.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(crate) fn log_id(&self) -> Uuid {
        self.header.log_id
    }

    /// The position of the last event; one less than the first where there is none.
    pub(crate) fn last(&self) -> u64 {
        self.header.first + self.header.events - 1
    }

    pub(crate) fn resume(&self) -> Resume {
        self.header.resume
    }

    pub(super) fn header(&self) -> &RunHeader {
        &self.header
    }

    /// Whether every section is as it was written.
    pub(crate) fn verify(&self) -> bool {
        (0..SECTIONS).all(|n| crc32c::crc32c(self.between(n)) == self.header.checksums[n])
    }

    fn between(&self, section: usize) -> &[u8] {
        let (from, to) = (self.layout[section] as usize, self.layout[section + 1] as usize);
        &self.bytes[from..to]
    }

    pub(super) fn section(&self, section: Section) -> &[u8] {
        self.between(section as usize)
    }

    fn bucket(&self, skip: usize, bucket: usize) -> std::ops::Range<usize> {
        let starts = &self.section(Section::Buckets)[(skip + bucket) * 4..];
        starts.u32_at(0) as usize..starts.u32_at(4) as usize
    }

    pub(super) fn id(&self, n: usize) -> u64 {
        self.section(Section::Ids).u64_at(n * 8)
    }

    /// The hash of the n-th term.
    pub(super) fn hash(&self, n: usize) -> u128 {
        let high = self.section(Section::Hashes).u64_at(n * 8);
        let low = self.section(Section::Lists).u64_at(n * LIST_BYTES);
        u128::from(high) << 64 | u128::from(low)
    }

    /// The hashes of all terms.
    #[cfg(feature = "simulation")]
    pub(crate) fn terms(&self) -> impl Iterator<Item = u128> {
        (0..self.header.terms as usize).map(|n| self.hash(n))
    }

    /// The list of the n-th term.
    pub(super) fn nth_list(&self, n: usize) -> RunList<'_> {
        let list = &self.section(Section::Lists)[n * LIST_BYTES..][..LIST_BYTES];
        let (start, count, first_version) = (list.u32_at(8), list.u32_at(12), list.u64_at(16));
        match count {
            0 | 1 => RunList { first_version, ordinals: Ordinals::One(start) },
            _ => {
                let bytes = self.section(Section::Postings).get(start as usize..).unwrap_or_default();
                RunList { first_version, ordinals: Ordinals::Many(Postings::new(bytes, count), count) }
            }
        }
    }

    /// Every consumer's mark.
    pub(super) fn marks(&self) -> impl Iterator<Item = (&str, u64)> {
        let mut rest = &self.section(Section::Marks)[..self.header.marks_len as usize];
        std::iter::from_fn(move || {
            let (len, after) = rest.split_first_chunk::<4>()?;
            let (name, after) = after.split_at_checked(u32::from_le_bytes(*len) as usize)?;
            let (through, after) = after.split_first_chunk::<8>()?;
            rest = after;
            Some((std::str::from_utf8(name).ok()?, u64::from_le_bytes(*through)))
        })
    }
}

impl Source for Run {
    fn first(&self) -> u64 {
        self.header.first
    }

    fn events(&self) -> u32 {
        self.header.events as u32
    }

    fn offset(&self, ordinal: u32) -> u64 {
        u64::from(self.section(Section::Offsets).u32_at(ordinal as usize * 4)) * 8
    }

    fn list(&self, term: u128) -> Option<Box<dyn List + '_>> {
        let high = (term >> 64) as u64;
        let buckets = Buckets::new(self.header.terms);
        let mut bucket = self.bucket(Buckets::new(self.header.events).len(), buckets.of(high));
        bucket.end = bucket.end.min(self.header.terms as usize);
        bucket.into_iter().find(|&n| self.hash(n) == term).map(|n| Box::new(self.nth_list(n)) as _)
    }

    fn with_id(&self, id: u128, uuid: Uuid) -> Vec<u32> {
        let (least, greatest) = self.header.id_range;
        if self.header.events == 0 || uuid < least || greatest < uuid {
            return Vec::new();
        }
        let prefix = (id >> 96) as u64;
        let mut bucket = self.bucket(0, Buckets::new(self.header.events).of(prefix << 32));
        bucket.end = bucket.end.min(self.header.events as usize);
        bucket.map(|n| self.id(n)).filter(|entry| entry >> 32 == prefix).map(|entry| entry as u32).collect()
    }

    fn mark(&self, consumer: &str) -> Option<u64> {
        self.marks().find(|(name, _)| *name == consumer).map(|(_, through)| through)
    }

    fn all_marks(&self) -> Vec<(String, u64)> {
        self.marks().map(|(consumer, through)| (consumer.to_owned(), through)).collect()
    }
}

/// The list of one term.
#[derive(Debug, Clone, Copy)]
pub(super) struct RunList<'a> {
    pub(super) first_version: u64,
    ordinals: Ordinals<'a>,
}

#[derive(Debug, Clone, Copy)]
enum Ordinals<'a> {
    One(u32),
    Many(Postings<'a>, u32),
}

impl RunList<'_> {
    pub(super) fn decode(&self, into: &mut Vec<u32>) {
        match self.ordinals {
            Ordinals::One(ordinal) => into.push(ordinal),
            Ordinals::Many(postings, _) => postings.decode(into),
        }
    }
}

impl List for RunList<'_> {
    fn len(&self) -> u32 {
        match self.ordinals {
            Ordinals::One(_) => 1,
            Ordinals::Many(_, count) => count,
        }
    }

    fn first_version(&self) -> u64 {
        self.first_version
    }

    fn nth(&self, n: u32) -> u32 {
        match self.ordinals {
            Ordinals::One(ordinal) => ordinal,
            Ordinals::Many(postings, _) => postings.nth(n),
        }
    }

    fn cursor<'a>(&self, direction: Direction) -> Box<dyn Cursor + 'a>
    where
        Self: 'a,
    {
        match self.ordinals {
            Ordinals::One(ordinal) => Box::new(SliceCursor::new([ordinal], direction)),
            Ordinals::Many(postings, _) => Box::new(postings.cursor(direction)),
        }
    }
}
