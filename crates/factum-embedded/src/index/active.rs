//! The index of the newest events, in memory until it is frozen and written as a run.

use std::collections::BTreeMap;

use super::cursor::{Cursor, SliceCursor};
use super::term::{EventTerms, Seed, Term, TermMap};
use super::{List, Resume, Source};
use factum::Direction;
use uuid::Uuid;

use crate::format::Frame;

/// The newest events, from `first` on. An ordinal is a position less `first`.
#[derive(Debug)]
pub(crate) struct Active {
    first: u64,
    births: u128,
    /// By ordinal: where the event's record is in its segment, in units of 8 bytes.
    pub(super) offsets: Vec<u32>,
    pub(super) lists: TermMap<ActiveList>,
    pub(super) ids: TermMap<u32>,
    /// The least and the greatest id.
    pub(super) id_range: Option<(Uuid, Uuid)>,
    /// By consumer: through where.
    pub(super) marks: BTreeMap<String, u64>,
    /// Where the log goes on after these events.
    pub(super) resume: Resume,
}

/// The ordinals of the events that have a term.
#[derive(Debug)]
pub(super) struct ActiveList {
    pub(super) first_version: u64,
    ordinals: Ordinals,
}

/// Most terms have one event, which needs no allocation.
#[derive(Debug)]
enum Ordinals {
    One(u32),
    Many(Vec<u32>),
}

impl ActiveList {
    pub(super) fn ordinals(&self) -> &[u32] {
        match &self.ordinals {
            Ordinals::One(ordinal) => std::slice::from_ref(ordinal),
            Ordinals::Many(ordinals) => ordinals,
        }
    }

    fn push(&mut self, ordinal: u32) {
        match &mut self.ordinals {
            // A tag that stands twice on an event is found once.
            Ordinals::One(last) if *last == ordinal => {}
            Ordinals::One(first) => self.ordinals = Ordinals::Many(vec![*first, ordinal]),
            Ordinals::Many(ordinals) if ordinals.last() == Some(&ordinal) => {}
            Ordinals::Many(ordinals) => ordinals.push(ordinal),
        }
    }
}

impl Active {
    /// No events yet; the next has position `first`.
    pub(crate) fn new(first: u64, seed: Seed, resume: Resume) -> Self {
        Self {
            first,
            births: seed.hash(Term::Births),
            offsets: Vec::new(),
            lists: TermMap::default(),
            ids: TermMap::default(),
            id_range: None,
            marks: BTreeMap::new(),
            resume,
        }
    }

    /// Adds the next event: its terms, its version, and where its record is in its segment, in bytes.
    pub(crate) fn push(&mut self, terms: &EventTerms, version: u64, offset: u64) {
        let ordinal = self.offsets.len() as u32;
        self.offsets.push((offset / 8) as u32);
        self.add(terms.stream, version, ordinal);
        for term in &terms.others {
            self.add(*term, 0, ordinal);
        }
        if version == 1 {
            self.add(self.births, 0, ordinal);
            self.add(terms.births_in, 0, ordinal);
        }
        self.ids.insert(terms.id, ordinal);
        let (least, greatest) = self.id_range.unwrap_or((terms.uuid, terms.uuid));
        self.id_range = Some((least.min(terms.uuid), greatest.max(terms.uuid)));
    }

    fn add(&mut self, term: u128, first_version: u64, ordinal: u32) {
        self.lists
            .entry(term)
            .and_modify(|list| list.push(ordinal))
            .or_insert(ActiveList { first_version, ordinals: Ordinals::One(ordinal) });
    }

    /// Adds the events of a frame that begins at an offset in its segment. `None` where a record is damaged in what its checksum
    /// covers.
    pub(crate) fn add_frame(&mut self, seed: Seed, segment: u64, offset: u64, frame: &Frame<'_>) -> Option<()> {
        for (at, record) in frame.events() {
            self.push(&EventTerms::of_record(seed, record)?, record.header.version, offset + *at as u64);
            self.resume.time_us = record.header.time_us;
        }
        if let Some((consumer, through)) = frame.mark() {
            self.add_mark(consumer, through);
        }
        let end = offset + frame.header.frame_len() as u64;
        self.resume = Resume { segment, end, frame: offset, checksum: frame.header.checksum, ..self.resume };
        Some(())
    }

    /// Notes what a consumer has handled.
    pub(crate) fn add_mark(&mut self, consumer: &str, through: u64) {
        self.marks.insert(consumer.to_owned(), through);
    }

    /// Notes where the log goes on.
    pub(crate) fn set_resume(&mut self, resume: Resume) {
        self.resume = resume;
    }

    pub(crate) fn resume(&self) -> Resume {
        self.resume
    }
}

impl Source for Active {
    fn first(&self) -> u64 {
        self.first
    }

    fn events(&self) -> u32 {
        self.offsets.len() as u32
    }

    fn offset(&self, ordinal: u32) -> u64 {
        u64::from(self.offsets[ordinal as usize]) * 8
    }

    fn list(&self, term: u128) -> Option<Box<dyn List + '_>> {
        self.lists.get(&term).map(|list| Box::new(list) as _)
    }

    fn with_id(&self, id: u128, _uuid: Uuid) -> Vec<u32> {
        self.ids.get(&id).copied().into_iter().collect()
    }

    fn mark(&self, consumer: &str) -> Option<u64> {
        self.marks.get(consumer).copied()
    }

    fn all_marks(&self) -> Vec<(String, u64)> {
        self.marks.iter().map(|(consumer, through)| (consumer.clone(), *through)).collect()
    }
}

impl List for &ActiveList {
    fn len(&self) -> u32 {
        self.ordinals().len() as u32
    }

    fn first_version(&self) -> u64 {
        self.first_version
    }

    fn nth(&self, n: u32) -> u32 {
        self.ordinals()[n as usize]
    }

    fn cursor<'a>(&self, direction: Direction) -> Box<dyn Cursor + 'a>
    where
        Self: 'a,
    {
        Box::new(SliceCursor::new(ActiveList::ordinals(self), direction))
    }
}
