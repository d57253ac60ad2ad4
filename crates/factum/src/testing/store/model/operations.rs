//! Random operations on few streams, types, tags and ids, so that they meet each other often.

use bytes::Bytes;
use uuid::Uuid;

use super::random::Random;
use super::{Operation, STREAMS, stream_of};
use crate::testing::store::builders::{consumer, event_type, tag};
use crate::{
    Append, Category, Condition, Consumed, ConsumerName, ContentType, Direction, EventId, Expected, Metadata, NewEvent, Payload,
    Position, Query, Range, Read, ReadStreams, Scope, Selector, Tag, Timestamp, Version, Versions,
};

const TYPES: [&str; 3] = ["Opened", "Changed", "Closed"];
const TAGS: [&str; 4] = ["of:x", "of:y", "of:z", "of:x:y"];
const TALKS: [&str; 3] = ["talk-1", "talk-2", ""];
const CONSUMERS: [&str; 2] = ["one", "two"];
/// Around what time the clock is set, in microseconds since 1970.
const NOON: i64 = 1_767_225_600_000_000;

/// This many operations, the same for the same seed, whatever the stores answer.
pub fn operations(seed: u64, count: usize) -> Vec<Operation> {
    let mut maker = Maker { random: Random::new(seed), sent: Vec::new(), ids: 0, recorded: 0 };
    (0..count).map(|_| maker.operation()).collect()
}

struct Maker {
    random: Random,
    /// The appends so far, to repeat them.
    sent: Vec<Append>,
    /// How many ids were given.
    ids: u128,
    /// About how many events are recorded.
    recorded: u64,
}

impl Maker {
    fn operation(&mut self) -> Operation {
        match self.random.below(100) {
            0..45 => Operation::Append(self.append()),
            45..55 => Operation::Append(self.sent_before()),
            55..82 => Operation::Read(self.read()),
            82..89 => Operation::Streams(self.streams()),
            89..92 => Operation::Consumed(self.consumer()),
            92..97 => Operation::SetClock(Timestamp::from_micros(NOON + self.random.below(1_000_000) as i64)),
            _ => Operation::Reopen,
        }
    }

    fn append(&mut self) -> Append {
        let count = self.random.one_of(&[1, 1, 1, 2, 3, 5, 0]);
        let events: Vec<NewEvent> = (0..count).map(|_| self.event()).collect();
        let expected = (0..self.random.one_of(&[0, 0, 0, 1, 1, 2])).map(|_| (stream_of(self.stream()), self.expected()));
        let mut append = Append { expected: expected.collect(), events, ..Append::default() };
        if self.random.percent(30) {
            append.condition = Some(Condition { query: self.query(), after: self.position() });
        }
        if self.random.percent(12) {
            let through = Position::new(self.random.below(4 + self.sent.len()) as u64);
            append.consumed = Some(Consumed { consumer: self.consumer(), through });
        }
        self.recorded += append.events.len() as u64;
        self.sent.push(append.clone());
        append
    }

    /// An append that was sent before, or something like it.
    fn sent_before(&mut self) -> Append {
        if self.sent.is_empty() {
            return self.append();
        }
        let number = self.random.below(self.sent.len());
        let mut append = self.sent[number].clone();
        let events = &mut append.events;
        match self.random.below(8) {
            0 => events.reverse(),
            1 => drop(events.pop()),
            2 => drop(events.drain(..events.len().min(1))),
            3 => append.events.push(self.event()),
            4 => append.events.insert(0, self.event()),
            5 => events.extend(self.sent.get(number + 1).into_iter().flat_map(|next| next.events.clone())),
            6 => {
                let stream = stream_of(self.stream());
                append.events.iter_mut().take(1).for_each(|event| event.stream = stream.clone());
            }
            _ => {}
        }
        append
    }

    fn event(&mut self) -> NewEvent {
        let known = self.ids;
        // Now and then an id that was given before.
        let id = if self.random.percent(4) { self.id() } else { EventId::from(Uuid::from_u128(known)) };
        self.ids += 1;
        let mut metadata = Metadata::default();
        if self.random.percent(30) {
            metadata = metadata.correlation_id(self.random.one_of(&TALKS)).causation_id(self.id());
        }
        if self.random.percent(20) {
            metadata = metadata.actor("ann").header("tenant", self.random.one_of(&["eu", ""]));
            metadata = metadata.occurred_at(Timestamp::from_micros(self.random.number() as i64));
        }
        NewEvent {
            id,
            stream: stream_of(self.stream()),
            event_type: event_type(self.random.one_of(&TYPES)),
            schema: self.random.one_of(&[1, 1, 2, u32::MAX]),
            tags: self.tags(40),
            metadata,
            payload: self.payload(),
        }
    }

    fn payload(&mut self) -> Payload {
        let length = self.random.one_of(&[0, 2, 7, 30, 200, 5_000]);
        let byte = self.random.number() as u8;
        let data = Bytes::from(vec![byte; length]);
        match self.random.percent(50) {
            true => Payload::json(data),
            false => Payload { content_type: ContentType::new("text/plain").expect("it is a content type"), data },
        }
    }

    /// Each of the tags, in so many of a hundred cases.
    fn tags(&mut self, percent: usize) -> Vec<Tag> {
        TAGS.into_iter().filter(|_| self.random.percent(percent)).map(tag).collect()
    }

    fn expected(&mut self) -> Expected {
        match self.random.below(6) {
            0 => Expected::Any,
            1 => Expected::Exists,
            2 => Expected::NO_STREAM,
            _ => Expected::Exact(Version::new(self.random.below(6) as u64)),
        }
    }

    fn read(&mut self) -> Read {
        let mut ends = [self.position(), self.position()];
        if self.random.percent(90) {
            ends.sort();
        }
        let range = if self.random.percent(40) { Range::ALL } else { Range { after: ends[0], through: ends[1] } };
        let direction = self.random.one_of(&[Direction::Forward, Direction::Backward]);
        let limit = self.random.one_of(&[0, 1, 2, 3, 7, 100, usize::MAX]);
        Read { query: self.query(), range, direction, limit }
    }

    fn streams(&mut self) -> ReadStreams {
        let category = self.random.percent(30).then(|| self.category());
        let prefix = self.random.one_of(&["", "", "a", "a-", "b", "ä", "none"]).to_owned();
        let after = if self.random.percent(60) { Position::START } else { self.position() };
        ReadStreams { category, prefix, after, limit: self.random.one_of(&[0, 1, 2, 100]) }
    }

    fn query(&mut self) -> Query {
        let count = self.random.one_of(&[0, 1, 1, 1, 1, 2, 3]);
        Query { selectors: (0..count).map(|_| self.selector()).collect() }
    }

    fn selector(&mut self) -> Selector {
        let types = self.random.one_of(&[0, 0, 1, 2]);
        let event_types = (0..types).map(|_| event_type(self.random.one_of(&TYPES))).collect();
        Selector { event_types, tags: self.tags(15), scope: self.scope() }
    }

    fn scope(&mut self) -> Scope {
        match self.random.below(12) {
            0 | 1 => Scope::Stream(stream_of(self.stream()), Versions::ALL),
            2 => {
                let after = Version::new(self.random.below(6) as u64);
                let through = self.random.one_of(&[Version::new(2), Version::new(5), Version::MAX]);
                Scope::Stream(stream_of(self.stream()), Versions { after, through })
            }
            3 => Scope::Category(self.category()),
            4 => Scope::Correlation(self.random.one_of(&TALKS).to_owned()),
            5 => Scope::CausedBy(self.id()),
            6 => Scope::Event(self.id()),
            _ => Scope::Everything,
        }
    }

    fn stream(&mut self) -> usize {
        self.random.below(STREAMS.len())
    }

    fn category(&mut self) -> Category {
        stream_of(self.stream()).category()
    }

    fn consumer(&mut self) -> ConsumerName {
        consumer(self.random.one_of(&CONSUMERS))
    }

    /// An id that was given, or the next one.
    fn id(&mut self) -> EventId {
        EventId::from(Uuid::from_u128(u128::from(self.random.number()) % (self.ids + 1)))
    }

    /// A position up to a little past the last, or the greatest.
    fn position(&mut self) -> Position {
        if self.random.percent(5) {
            return Position::MAX;
        }
        Position::new(self.random.below(self.recorded as usize + 3) as u64)
    }
}
