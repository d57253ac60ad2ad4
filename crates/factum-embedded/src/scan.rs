//! Scanning: the frames of a segment, one after the other, each checked.

use std::io;

use crate::disk::DiskFile;
use crate::format::{ALIGN, Frame, FrameHeader};
use crate::segment::Segment;

/// How much is read at a time, in bytes.
const CHUNK_BYTES: usize = 1 << 20;

/// Where a scan is: after a valid frame, or at the beginning of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    /// In the segment, in bytes.
    pub(crate) offset: u64,
    /// The offset of the last frame, 0 where there is none yet.
    pub(crate) frame: u64,
    /// What the next frame must link to.
    pub(crate) checksum: u32,
    /// The position of the next event.
    pub(crate) position: u64,
    /// Up to where the segment was synced, as the last frame tells.
    pub(crate) synced_to: u64,
    /// The time of the last event, µs since 1970.
    pub(crate) time_us: i64,
}

/// Hands over every valid frame from a place on, with its offset and the place after it. Ends at the first that is not valid, or
/// at `len`.
pub(crate) fn scan<E: From<io::Error>>(
    segment: &Segment,
    len: u64,
    mut place: Place,
    mut each: impl FnMut(u64, &Frame<'_>, Place) -> Result<(), E>,
) -> Result<Place, E> {
    let salt = segment.header.salt;
    let mut window = Window { file: &*segment.file, len, start: 0, bytes: Vec::new() };
    loop {
        let offset = place.offset;
        let Some(header) = FrameHeader::decode(window.at(offset, FrameHeader::BYTES)?, salt) else { return Ok(place) };
        let follows = header.previous == place.checksum && header.first_position == place.position && header.synced_to <= offset;
        if !follows {
            return Ok(place);
        }
        let Some(frame) = Frame::decode(header, window.at(offset, header.frame_len())?, salt) else { return Ok(place) };
        place = Place {
            offset: offset + header.frame_len() as u64,
            frame: offset,
            checksum: header.checksum,
            position: place.position + u64::from(header.events),
            synced_to: header.synced_to,
            time_us: frame.events().last().map_or(place.time_us, |(_, record)| record.header.time_us),
        };
        each(offset, &frame, place)?;
    }
}

/// Where, at or after an offset, a frame says that more than the bytes up to `from` was durable before it was written.
pub(crate) fn witness(segment: &Segment, len: u64, from: u64, position: u64) -> io::Result<Option<u64>> {
    let mut window = Window { file: &*segment.file, len, start: 0, bytes: Vec::new() };
    let mut offset = from.next_multiple_of(ALIGN as u64);
    while offset < len {
        let bytes = window.at(offset, FrameHeader::BYTES)?;
        let header = FrameHeader::decode(bytes, segment.header.salt);
        if header.is_some_and(|header| from < header.synced_to && position <= header.first_position) {
            return Ok(Some(offset));
        }
        offset += ALIGN as u64;
    }
    Ok(None)
}

/// A part of a file that has been read.
struct Window<'a> {
    file: &'a dyn DiskFile,
    len: u64,
    start: u64,
    bytes: Vec<u8>,
}

impl Window<'_> {
    /// This many bytes from an offset on, or fewer at the end of the file.
    fn at(&mut self, offset: u64, count: usize) -> io::Result<&[u8]> {
        let count = (count as u64).min(self.len.saturating_sub(offset)) as usize;
        let is_in = self.start <= offset && offset + count as u64 <= self.start + self.bytes.len() as u64;
        if !is_in {
            let wanted = count.max(CHUNK_BYTES) as u64;
            self.bytes.resize(wanted.min(self.len.saturating_sub(offset)) as usize, 0);
            self.file.read_at(&mut self.bytes, offset)?;
            self.start = offset;
        }
        let from = (offset - self.start) as usize;
        Ok(&self.bytes[from..from + count])
    }
}
