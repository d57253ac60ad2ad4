//! The instances that were lately needed.

use std::collections::HashMap;

use super::failed::Failed;
use super::instance::Instance;
use crate::{AnyStore, Process, Query, Read, Store, StreamName, Version};

/// How many instances are kept in memory, about.
const KEPT: usize = 10_000;

/// Instances as they are in the store, with what this program is about to record.
#[derive(Debug)]
pub(crate) struct Instances<P> {
    store: AnyStore,
    /// Those needed since the last time that it was full; then the others go.
    new: HashMap<StreamName, Instance<P>>,
    old: HashMap<StreamName, Instance<P>>,
    /// Whether one was read since this was last taken back.
    pub(crate) loaded: bool,
}

impl<P: Process> Instances<P> {
    pub(crate) fn new(store: AnyStore) -> Self {
        Self { store, new: HashMap::new(), old: HashMap::new(), loaded: false }
    }

    /// The instance as it is known.
    ///
    /// # Errors
    /// [`Failed::Here`] where it is not: load it first.
    pub(crate) fn get(&mut self, stream: &StreamName) -> Result<&mut Instance<P>, Failed> {
        if let Some(instance) = self.old.remove(stream) {
            self.new.insert(stream.clone(), instance);
        }
        self.new.get_mut(stream).ok_or_else(|| Failed::Here(format!("{stream} is not loaded")))
    }

    /// Reads the instance.
    pub(crate) async fn load(&mut self, stream: &StreamName) -> Result<(), Failed> {
        self.loaded = true;
        let mut instance = Instance::new();
        let mut read = Some(Read::new(Query::stream(stream.clone())));
        while let Some(next) = read.take() {
            let page = self.store.read(next.clone()).await?;
            page.events.iter().try_for_each(|event| instance.apply(event))?;
            read = page.rest.map(|rest| next.range(rest));
        }
        self.new.insert(stream.clone(), instance);
        Ok(())
    }

    pub(crate) fn known(&mut self, stream: &StreamName) -> Option<&mut Instance<P>> {
        match self.new.get_mut(stream) {
            None => self.old.get_mut(stream),
            known => known,
        }
    }

    /// Whether the instance is known with this version.
    pub(crate) fn has(&mut self, stream: &StreamName, version: Version) -> bool {
        self.known(stream).is_some_and(|instance| version <= instance.version)
    }

    pub(crate) fn forget(&mut self, stream: &StreamName) {
        self.new.remove(stream);
        self.old.remove(stream);
    }

    /// Makes room. Not while something is about to be recorded: an instance that is read again does not have it.
    pub(crate) fn tidy(&mut self) {
        if KEPT / 2 <= self.new.len() {
            self.old = std::mem::take(&mut self.new);
        }
    }
}
