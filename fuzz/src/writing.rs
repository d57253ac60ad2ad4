//! Writing a segment: the input says which frames, and what becomes of them.

use super::{FRAME_HEADER, RECORD_HEADER, SEGMENT_HEADER, frame_checksum, record_checksum};

const SALT: u32 = 0x5a17_5a17;

/// The input of a fuzz target, read from its beginning; zeros after its end.
struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn byte(&mut self) -> u8 {
        self.bytes(1).first().copied().unwrap_or_default()
    }

    fn number(&mut self) -> u16 {
        u16::from_le_bytes([self.byte(), self.byte()])
    }

    fn bytes(&mut self, count: usize) -> &'a [u8] {
        let (bytes, rest) = self.0.split_at(count.min(self.0.len()));
        self.0 = rest;
        bytes
    }
}

/// A segment as the input describes it: any bytes, a header and any bytes, or a header and what a list of steps makes.
///
/// Also whether it has a frame with right checksums that no engine writes.
pub fn segment(input: &[u8]) -> (Vec<u8>, bool) {
    let mut input = Input(input);
    match input.byte() {
        0 => return (input.0.to_vec(), false),
        1 => return ([&header(), input.0].concat(), false),
        _ => {}
    }
    let synced_to = SEGMENT_HEADER as u64;
    let mut segment = Segment { bytes: header(), previous: SALT, position: 1, synced_to, is_odd: false };
    while !input.0.is_empty() && segment.bytes.len() < 64 << 10 {
        segment.step(&mut input);
    }
    (segment.bytes, segment.is_odd)
}

fn header() -> Vec<u8> {
    let mut header = vec![0; SEGMENT_HEADER];
    header[..8].copy_from_slice(b"FACTSEG1");
    header[8] = 1;
    header[12] = SEGMENT_HEADER as u8;
    header[16..32].copy_from_slice(&[7; 16]);
    header[40] = 1;
    header[48..52].copy_from_slice(&SALT.to_le_bytes());
    let checksum = crc32c::crc32c(&header[..SEGMENT_HEADER - 4]);
    header[SEGMENT_HEADER - 4..].copy_from_slice(&checksum.to_le_bytes());
    header
}

struct Segment {
    bytes: Vec<u8>,
    previous: u32,
    position: u64,
    synced_to: u64,
    is_odd: bool,
}

impl Segment {
    fn step(&mut self, input: &mut Input<'_>) {
        match input.byte() % 8 {
            // Frames as the engine writes them, each of its own batch or of the same as the one before.
            0..3 => {
                self.synced_to = self.bytes.len() as u64;
                self.frame(input, false);
            }
            3 => self.frame(input, false),
            // A frame of which something is not as the engine writes it, though the checksums are right.
            4 => self.frame(input, true),
            5 => {
                let count = usize::from(input.number() % 2_000);
                self.bytes.resize(self.bytes.len() + count, 0);
            }
            6 => {
                let at = usize::from(input.number()) % self.bytes.len();
                self.bytes[at] ^= input.byte();
            }
            _ => {
                let count = usize::from(input.byte());
                self.bytes.extend_from_slice(input.bytes(count));
            }
        }
    }

    fn frame(&mut self, input: &mut Input<'_>, is_odd: bool) {
        let count = input.byte() % 4;
        let mut records: Vec<_> = (0..count).map(|ordinal| self.record(u64::from(ordinal), input)).collect();
        let mut header = [0; FRAME_HEADER];
        header[..4].copy_from_slice(b"FCT1");
        let body: usize = records.iter().map(Vec::len).sum();
        header[8..12].copy_from_slice(&(body as u32).to_le_bytes());
        header[12] = count;
        header[16..24].copy_from_slice(&self.position.to_le_bytes());
        header[24..32].copy_from_slice(&self.synced_to.to_le_bytes());
        header[36..40].copy_from_slice(&self.previous.to_le_bytes());
        if is_odd {
            self.is_odd = true;
            match (input.byte() % 2, records.first_mut()) {
                (0, Some(record)) => record[4 + usize::from(input.byte()) % (RECORD_HEADER - 4)] ^= input.byte(),
                _ => header[8 + usize::from(input.byte()) % 24] ^= input.byte(),
            }
        }
        let mut of_records = SALT;
        for (record, position) in records.iter_mut().zip(self.position..) {
            let checksum = record_checksum(record, SALT, position).to_le_bytes();
            record[..4].copy_from_slice(&checksum);
            of_records = crc32c::crc32c_append(of_records, &checksum);
        }
        header[32..36].copy_from_slice(&of_records.to_le_bytes());
        self.previous = frame_checksum(&header, SALT);
        header[4..8].copy_from_slice(&self.previous.to_le_bytes());
        self.bytes.extend_from_slice(&header);
        self.bytes.extend(records.concat());
        self.position += u64::from(count);
    }

    /// An event's record, with its checksum left open.
    fn record(&self, ordinal: u64, input: &mut Input<'_>) -> Vec<u8> {
        let stream = format!("account-{}", input.byte() % 3);
        let count = usize::from(input.byte());
        let data = input.bytes(count);
        let mut record = vec![0; RECORD_HEADER];
        record[8] = 1;
        record[24] = stream.len() as u8;
        record[28] = 5;
        record[32..40].copy_from_slice(&(self.position + ordinal).to_be_bytes());
        record.extend_from_slice(stream.as_bytes());
        record.extend_from_slice(b"Opened");
        record.extend_from_slice(data);
        let len = record.len() as u32;
        record[4..8].copy_from_slice(&len.to_le_bytes());
        record.resize(record.len().next_multiple_of(8), 0);
        record
    }
}
