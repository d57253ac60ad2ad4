//! Postings: rising ordinals, as the differences between them.
//!
//! Each difference is a LEB128 varint. Up to 128 ordinals follow their first one, a varint too. Longer lists begin with a table
//! of blocks of 128, `{u32 first ordinal, u32 offset of the block}`, offsets being counted from the end of the table; a block
//! holds the differences after its first ordinal.

use factum::Direction;

use super::cursor::Cursor;
use crate::format::Fields;

const BLOCK: usize = 128;
const ENTRY_BYTES: usize = 8;

/// Writes at least two rising ordinals.
pub(super) fn encode(ordinals: &[u32], into: &mut Vec<u8>) {
    if ordinals.len() <= BLOCK {
        put_varint(into, ordinals[0]);
        return put_differences(into, ordinals);
    }
    let table = into.len();
    let blocks = ordinals.len().div_ceil(BLOCK);
    into.resize(table + blocks * ENTRY_BYTES, 0);
    let data = into.len();
    for (n, block) in ordinals.chunks(BLOCK).enumerate() {
        let at = table + n * ENTRY_BYTES;
        let offset = (into.len() - data) as u32;
        into[at..at + 4].copy_from_slice(&block[0].to_le_bytes());
        into[at + 4..at + 8].copy_from_slice(&offset.to_le_bytes());
        put_differences(into, block);
    }
}

fn put_differences(into: &mut Vec<u8>, ordinals: &[u32]) {
    for pair in ordinals.windows(2) {
        put_varint(into, pair[1] - pair[0]);
    }
}

fn put_varint(into: &mut Vec<u8>, mut value: u32) {
    while 0x80 <= value {
        into.push(value as u8 | 0x80);
        value >>= 7;
    }
    into.push(value as u8);
}

/// The next varint; 0 at the end of damaged bytes.
fn take_varint(bytes: &mut &[u8]) -> u32 {
    let mut value = 0;
    for shift in (0..32).step_by(7) {
        let Some((&byte, rest)) = bytes.split_first() else { break };
        *bytes = rest;
        value |= u32::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            break;
        }
    }
    value
}

/// A list of at least two ordinals, as it is written.
#[derive(Debug, Clone, Copy)]
pub(super) struct Postings<'a> {
    /// From the start of the list on, whatever follows it.
    bytes: &'a [u8],
    count: usize,
}

impl<'a> Postings<'a> {
    pub(super) fn new(bytes: &'a [u8], count: u32) -> Self {
        let count = count as usize;
        // A damaged count must not reach beyond the bytes: each ordinal takes at least one.
        Self { bytes, count: count.min(bytes.len()) }
    }

    fn blocks(&self) -> usize {
        self.count.div_ceil(BLOCK)
    }

    fn has_table(&self) -> bool {
        BLOCK < self.count
    }

    /// The first ordinal of a block, where there is a table.
    fn block_first(&self, block: usize) -> u32 {
        self.bytes.get(block * ENTRY_BYTES..).filter(|rest| 4 <= rest.len()).map_or(u32::MAX, |rest| rest.u32_at(0))
    }

    /// The last block that begins at or below the ordinal.
    fn block_of(&self, ordinal: u32) -> Option<usize> {
        let (mut low, mut high) = (0, self.blocks());
        while low < high {
            let middle = low.midpoint(high);
            if self.block_first(middle) <= ordinal { low = middle + 1 } else { high = middle }
        }
        low.checked_sub(1)
    }

    /// The ordinals of a block.
    pub(super) fn decode_block(&self, block: usize, into: &mut Vec<u32>) {
        into.clear();
        let (mut ordinal, mut bytes);
        if self.has_table() {
            let entry = self.bytes.get(block * ENTRY_BYTES + 4..).filter(|rest| 4 <= rest.len());
            let data = self.blocks() * ENTRY_BYTES + entry.map_or(0, |rest| rest.u32_at(0) as usize);
            (ordinal, bytes) = (self.block_first(block), self.bytes.get(data..).unwrap_or_default());
        } else {
            bytes = self.bytes;
            ordinal = take_varint(&mut bytes);
        }
        into.push(ordinal);
        for _ in 1..BLOCK.min(self.count.saturating_sub(block * BLOCK)) {
            ordinal = ordinal.saturating_add(take_varint(&mut bytes));
            into.push(ordinal);
        }
    }

    /// All of the ordinals.
    pub(super) fn decode(&self, into: &mut Vec<u32>) {
        let mut block = Vec::with_capacity(BLOCK);
        for n in 0..self.blocks() {
            self.decode_block(n, &mut block);
            into.extend_from_slice(&block);
        }
    }

    pub(super) fn nth(&self, n: u32) -> u32 {
        let mut block = Vec::with_capacity(BLOCK);
        self.decode_block(n as usize / BLOCK, &mut block);
        block.get(n as usize % BLOCK).copied().unwrap_or(u32::MAX)
    }

    pub(super) fn cursor(self, direction: Direction) -> PostingsCursor<'a> {
        PostingsCursor { postings: self, direction, block: None, decoded: Vec::with_capacity(BLOCK) }
    }
}

/// The ordinals of a list, one block of them decoded.
pub(super) struct PostingsCursor<'a> {
    postings: Postings<'a>,
    direction: Direction,
    block: Option<usize>,
    decoded: Vec<u32>,
}

impl PostingsCursor<'_> {
    /// Decodes the block in which the target is, or would be.
    fn enter(&mut self, target: u32) -> Option<usize> {
        if let (Some(block), Some(&first), Some(&last)) = (self.block, self.decoded.first(), self.decoded.last())
            && first <= target
            && target <= last
        {
            return Some(block);
        }
        let block = if self.postings.has_table() { self.postings.block_of(target)? } else { 0 };
        if self.block != Some(block) {
            self.postings.decode_block(block, &mut self.decoded);
            self.block = Some(block);
        }
        Some(block)
    }
}

impl Cursor for PostingsCursor<'_> {
    fn seek(&mut self, target: u32) -> Option<u32> {
        match (self.enter(target), self.direction) {
            (Some(block), Direction::Forward) => {
                let at = self.decoded.partition_point(|&ordinal| ordinal < target);
                let next = block + 1;
                self.decoded.get(at).copied().or_else(|| (next < self.postings.blocks()).then(|| self.postings.block_first(next)))
            }
            (None, Direction::Forward) => Some(self.postings.block_first(0)),
            (Some(_), Direction::Backward) => {
                let after = self.decoded.partition_point(|&ordinal| ordinal <= target);
                after.checked_sub(1).map(|last| self.decoded[last])
            }
            (None, Direction::Backward) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Cursor, Direction, Postings, encode};

    #[test]
    fn every_ordinal_is_found_from_every_target_either_way() {
        for count in [2, 127, 128, 129, 256, 1000] {
            let ordinals: Vec<u32> = (0..count).map(|n| n * n % 7 + n * 300 + 5).collect();
            let mut bytes = Vec::new();
            encode(&ordinals, &mut bytes);
            bytes.extend([0xff; 9]);
            let postings = Postings::new(&bytes, count);
            let mut decoded = Vec::new();
            postings.decode(&mut decoded);
            assert_eq!(decoded, ordinals);
            for (n, &ordinal) in ordinals.iter().enumerate() {
                assert_eq!(postings.nth(n as u32), ordinal);
                for target in [ordinal - 1, ordinal, ordinal + 1] {
                    let above = ordinals.iter().copied().find(|&o| target <= o);
                    let below = ordinals.iter().copied().rfind(|&o| o <= target);
                    assert_eq!(postings.cursor(Direction::Forward).seek(target), above, "{count}, {target}");
                    assert_eq!(postings.cursor(Direction::Backward).seek(target), below, "{count}, {target}");
                }
            }
        }
    }
}
