//! The tail: the end of the last segment, where frames are written and made durable.

use std::io;
use std::sync::Arc;

use uuid::Uuid;

use crate::disk::Disk;
use crate::format::{FrameHeader, SegmentHeader};
use crate::scan::Place;
use crate::segment::Segment;

/// Batches of at least this many bytes are not filled up with zeros first: that would write them twice.
const FILL_MAX_BYTES: u64 = 64 << 10;
/// How much is hashed at a time when the digest has fallen behind, in bytes.
const HASH_CHUNK_BYTES: usize = 1 << 20;

/// The end of the last segment.
pub(crate) struct Tail {
    disk: Arc<dyn Disk>,
    pub(crate) segment: Arc<Segment>,
    /// Where the next frame goes, in bytes.
    pub(crate) end: u64,
    /// Up to where everything is durable: all but a witness that was written since.
    pub(crate) synced_to: u64,
    /// Up to where there is room: zeros that are written already, or allocated.
    frontier: u64,
    /// What the next frame links to.
    pub(crate) checksum: u32,
    /// The offset of the last frame, 0 where there is none.
    pub(crate) frame: u64,
    /// Whether the last frame is the witness of all before it.
    is_witnessed: bool,
    fill_bytes: u64,
    digest: Digest,
}

/// What the next frame links to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LastFrame {
    /// In the segment, in bytes.
    pub(crate) offset: u64,
    pub(crate) checksum: u32,
}

/// The digest of a segment up to some offset.
#[derive(Clone)]
struct Digest {
    hasher: blake3::Hasher,
    to: u64,
}

impl Tail {
    /// The tail of a segment that ends at a place, with nothing after it in its file.
    pub(crate) fn new(disk: Arc<dyn Disk>, segment: Arc<Segment>, place: Place, fill_bytes: u64) -> Self {
        Self {
            disk,
            segment,
            end: place.offset,
            synced_to: place.offset,
            frontier: place.offset,
            checksum: place.checksum,
            frame: place.frame,
            is_witnessed: false,
            fill_bytes,
            digest: Digest { hasher: blake3::Hasher::new(), to: 0 },
        }
    }

    /// Makes room for a batch of this many bytes. Where there is none, nothing has changed.
    pub(crate) fn make_room(&mut self, bytes: u64) -> io::Result<()> {
        // And for the witness that follows.
        let needed = self.end + bytes + FrameHeader::BYTES as u64;
        if needed <= self.frontier {
            return Ok(());
        }
        let (from, missing) = (self.frontier, needed - self.frontier);
        let file = &self.segment.file;
        let made = if FILL_MAX_BYTES <= bytes {
            file.allocate(from, missing).map(|()| needed)
        } else {
            // The last bytes of a disk are worth a second try.
            let filled = missing.max(self.fill_bytes);
            file.fill(from, filled).map(|()| from + filled).or_else(|_| file.fill(from, missing).map(|()| needed))
        };
        match made {
            Ok(frontier) => self.frontier = frontier,
            // What did fit is given back; zeros that stay are no harm.
            Err(_) => drop(file.set_len(from)),
        }
        made.map(|_| ())
    }

    /// Writes a batch of frames, for which there is room, and makes it durable.
    pub(crate) fn write(&mut self, batch: &[u8], last: LastFrame) -> io::Result<()> {
        self.put(batch, last)?;
        self.is_witnessed = false;
        self.sync()
    }

    /// Writes the witness of all frames so far, without making it durable: the next sync does.
    pub(crate) fn write_witness(&mut self, frame: &[u8], last: LastFrame) -> io::Result<()> {
        self.put(frame, last)?;
        self.is_witnessed = true;
        Ok(())
    }

    fn put(&mut self, bytes: &[u8], last: LastFrame) -> io::Result<()> {
        self.segment.file.write_at(bytes, self.end)?;
        if self.digest.to == self.end {
            self.digest.hasher.update(bytes);
            self.digest.to += bytes.len() as u64;
        }
        self.end += bytes.len() as u64;
        (self.frame, self.checksum) = (last.offset, last.checksum);
        Ok(())
    }

    /// Makes everything so far durable.
    pub(crate) fn sync(&mut self) -> io::Result<()> {
        self.segment.file.sync()?;
        self.synced_to = self.end;
        Ok(())
    }

    /// Whether there are frames that no witness follows, and room for one.
    pub(crate) fn wants_witness(&self) -> bool {
        !self.is_witnessed && 0 < self.frame && self.end + FrameHeader::BYTES as u64 <= self.frontier
    }

    /// The digest of the segment up to where it ends now.
    pub(crate) fn digest(&mut self) -> io::Result<[u8; 32]> {
        let mut chunk = vec![0; HASH_CHUNK_BYTES];
        while self.digest.to < self.end {
            let bytes = &mut chunk[..HASH_CHUNK_BYTES.min((self.end - self.digest.to) as usize)];
            self.segment.file.read_at(bytes, self.digest.to)?;
            self.digest.hasher.update(bytes);
            self.digest.to += bytes.len() as u64;
        }
        Ok(self.digest.hasher.finalize().into())
    }

    /// Ends the segment at its exact length and makes that durable.
    pub(crate) fn seal(&mut self) -> io::Result<()> {
        self.segment.file.set_len(self.end)?;
        self.frontier = self.end;
        // After a failed sync it is unknown what is on disk, even where the failure is that of a full disk.
        self.sync().map_err(io::Error::other)
    }

    /// Begins the next segment, whose first event has this position. The one before must be sealed.
    pub(crate) fn begin_next(&mut self, first_position: u64, created_us: i64) -> io::Result<Arc<Segment>> {
        let previous = self.segment.header;
        let header = SegmentHeader {
            number: previous.number + 1,
            first_position,
            salt: random_salt(),
            created_us,
            previous_digest: self.digest()?,
            previous_len: self.end,
            ..previous
        };
        let segment = Arc::new(Segment::create(&*self.disk, header)?);
        let place = Place::start(&header, 0);
        *self = Self::new(Arc::clone(&self.disk), Arc::clone(&segment), place, self.fill_bytes);
        Ok(segment)
    }
}

impl Place {
    /// Before the first frame of a segment.
    pub(crate) fn start(header: &SegmentHeader, time_us: i64) -> Self {
        let offset = SegmentHeader::BYTES as u64;
        Self { offset, frame: 0, checksum: header.salt, position: header.first_position, synced_to: offset, time_us }
    }
}

/// Bits that no other segment has.
pub(crate) fn random_salt() -> u32 {
    Uuid::new_v4().as_u128() as u32
}
