//! What a disk holds when nobody uses it.

use std::collections::BTreeMap;
use std::sync::Arc;

use xxhash_rust::xxh3::xxh3_128;

use super::SimulatedDisk;

/// The files of a disk at rest: all that is left after a power loss. Clones share the bytes until they are written to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Image {
    pub(super) files: BTreeMap<Arc<str>, Arc<Vec<u8>>>,
}

impl Image {
    /// A disk that holds this; each call gives another.
    pub fn disk(&self) -> SimulatedDisk {
        SimulatedDisk::of(self)
    }

    /// The names of the files, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.files.keys().map(|name| &**name)
    }

    /// The bytes of a file.
    pub fn file(&self, name: &str) -> Option<&[u8]> {
        self.files.get(name).map(|bytes| bytes.as_slice())
    }

    /// Puts a file there, in place of the one of that name.
    pub fn put(&mut self, name: &str, bytes: impl Into<Vec<u8>>) {
        self.files.insert(name.into(), Arc::new(bytes.into()));
    }

    /// Takes files away, those for whose names `keep` is false.
    pub fn retain(&mut self, keep: impl Fn(&str) -> bool) {
        self.files.retain(|name, _| keep(name));
    }

    /// Turns a bit of a file over, as decay does; the bits are counted from 0, from the lowest of the first byte.
    ///
    /// # Panics
    /// Where there is no such file or bit.
    pub fn flip_bit(&mut self, name: &str, bit: u64) {
        let file = self.files.get_mut(name).expect("the file is there");
        Arc::make_mut(file)[(bit / 8) as usize] ^= 1 << (bit % 8);
    }

    /// A number that two images share only if they are the same.
    pub fn digest(&self) -> u128 {
        let mut digest = 0;
        for (name, bytes) in &self.files {
            digest = xxh3_128(name.as_bytes()).wrapping_add(digest).rotate_left(1);
            digest = xxh3_128(bytes).wrapping_add(digest).rotate_left(1);
        }
        digest
    }
}
