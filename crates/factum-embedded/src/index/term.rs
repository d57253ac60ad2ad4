//! A term: what the index finds events by, as a hash of 128 bits.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use factum::{NewEvent, StreamName};
use uuid::Uuid;
use xxhash_rust::xxh3::xxh3_128_with_seed;

use crate::format::Record;

/// What an event can be found by.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Term<'a> {
    Stream(&'a str),
    Category(&'a str),
    EventType(&'a str),
    Tag(&'a str),
    Correlation(&'a str),
    CausedBy(Uuid),
    Id(Uuid),
    /// The first events of all streams.
    Births,
    /// The first events of a category's streams.
    BirthsIn(&'a str),
}

/// The log's secret: without it nobody can make two terms of one hash.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seed(pub(crate) u64);

impl Seed {
    pub(crate) fn hash(self, term: Term<'_>) -> u128 {
        let (namespace, bytes): (u64, &[u8]) = match &term {
            Term::Stream(name) => (1, name.as_bytes()),
            Term::Category(name) => (2, name.as_bytes()),
            Term::EventType(name) => (3, name.as_bytes()),
            Term::Tag(tag) => (4, tag.as_bytes()),
            Term::Correlation(id) => (5, id.as_bytes()),
            Term::CausedBy(id) => (6, id.as_bytes()),
            Term::Id(id) => (7, id.as_bytes()),
            Term::Births => (8, &[]),
            Term::BirthsIn(category) => (9, category.as_bytes()),
        };
        // An odd factor keeps the namespaces' seeds apart.
        xxh3_128_with_seed(bytes, self.0.wrapping_add(namespace.wrapping_mul(0x9e37_79b9_7f4a_7c15)))
    }
}

/// The terms that an event usually has beside its stream and its id: category, type, tags, correlation, cause.
const OTHERS_USUALLY: usize = 6;

/// The terms of one event.
#[derive(Debug, Clone)]
pub(crate) struct EventTerms {
    pub(crate) stream: u128,
    pub(crate) id: u128,
    /// The id itself, of which a run keeps the least and the greatest.
    pub(crate) uuid: Uuid,
    pub(crate) births_in: u128,
    /// Event type, category, tags, correlation, causation.
    pub(crate) others: Vec<u128>,
}

impl EventTerms {
    pub(crate) fn of_new(seed: Seed, event: &NewEvent) -> Self {
        let tags = event.tags.iter().map(factum::Tag::as_str);
        let mut terms = Self::new(seed, event.stream.as_str(), event.id.uuid());
        terms.add(seed, event.event_type.as_str(), tags);
        terms.add_links(seed, event.metadata.correlation_id.as_deref(), event.metadata.causation_id.map(factum::EventId::uuid));
        terms
    }

    pub(crate) fn of_record(seed: Seed, record: &Record<'_>) -> Option<Self> {
        let mut terms = Self::new(seed, record.stream(), record.header.id);
        terms.add(seed, record.event_type(), record.tags());
        let metadata = record.details()?.metadata;
        terms.add_links(seed, metadata.correlation_id.as_deref(), metadata.causation_id.map(factum::EventId::uuid));
        Some(terms)
    }

    fn new(seed: Seed, stream: &str, uuid: Uuid) -> Self {
        let category = StreamName::category_of(stream);
        let mut others = Vec::with_capacity(OTHERS_USUALLY);
        others.push(seed.hash(Term::Category(category)));
        let births_in = seed.hash(Term::BirthsIn(category));
        Self { stream: seed.hash(Term::Stream(stream)), id: seed.hash(Term::Id(uuid)), uuid, births_in, others }
    }

    fn add<'a>(&mut self, seed: Seed, event_type: &str, tags: impl Iterator<Item = &'a str>) {
        self.others.push(seed.hash(Term::EventType(event_type)));
        self.others.extend(tags.map(|tag| seed.hash(Term::Tag(tag))));
    }

    fn add_links(&mut self, seed: Seed, correlation: Option<&str>, causation: Option<Uuid>) {
        self.others.extend(correlation.map(|id| seed.hash(Term::Correlation(id))));
        self.others.extend(causation.map(|id| seed.hash(Term::CausedBy(id))));
    }
}

/// A map by the hashes of terms, which need no further hashing.
pub(crate) type TermMap<T> = HashMap<u128, T, BuildHasherDefault<AlreadyHashed>>;

/// Takes the low half of a term's hash for the hash.
#[derive(Default)]
pub(crate) struct AlreadyHashed(u64);

impl Hasher for AlreadyHashed {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        debug_assert!(bytes.is_empty(), "only hashes of terms are hashed");
    }

    fn write_u128(&mut self, hash: u128) {
        self.0 = hash as u64;
    }
}
