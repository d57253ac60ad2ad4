//! The events that every system is given: the same names, tags and bytes for all of them.

use bytes::Bytes;

/// Bytes of data in an event.
pub(crate) const DATA_BYTES: usize = 200;
/// Events in one append while a data set is loaded.
pub(crate) const LOAD_EVENTS: u64 = 1_000;
/// Versions in a long stream of the data set.
pub(crate) const LONG_STREAM: u64 = 100;

const EVENT_TYPES: [&str; 4] = ["CourseDefined", "StudentRegistered", "StudentEnrolled", "StudentLeft"];

/// An event, before it takes the shape that a system wants.
#[derive(Debug, Clone)]
pub(crate) struct Event {
    /// The stream it belongs to.
    pub stream: String,
    /// Its ordinal there, counted from 1.
    pub version: u64,
    /// What kind of event it is.
    pub event_type: &'static str,
    /// What it is found by.
    pub tags: [String; 2],
    /// What happened: [`DATA_BYTES`] of JSON.
    pub data: Bytes,
}

impl Event {
    /// The bytes that any system has to keep: data, names and tags.
    pub(crate) fn own_bytes(&self) -> usize {
        self.data.len() + self.stream.len() + self.event_type.len() + self.tags.iter().map(String::len).sum::<usize>()
    }
}

/// The name of a writer's own stream: a new one in each process.
pub(crate) fn writer_stream(writer: usize) -> String {
    format!("writer-{}-{writer}", std::process::id())
}

/// An event of a writer's own stream, as the append rows record it.
pub(crate) fn of_writer(stream: &str, number: u64) -> Event {
    Event {
        stream: stream.to_owned(),
        version: number + 1,
        event_type: EVENT_TYPES[2],
        tags: [format!("student:{stream}"), format!("course:{}", number % 1_000)],
        data: data(number),
    }
}

/// A decision's event, tagged with what it was decided on.
pub(crate) fn of_decision(tags: &[String; 2], number: u64) -> Event {
    Event { stream: format!("decision-{number}"), version: 1, event_type: EVENT_TYPES[3], tags: tags.clone(), data: data(number) }
}

/// Many events in many streams, each computed from its number alone, so that any of them can be asked for again.
///
/// Every 2,000 events hold one long stream of 100 versions recorded together; 100 events of long streams whose versions are
/// scattered evenly over the whole set; and 200 short streams of 9 versions each.
#[derive(Debug, Clone, Copy)]
pub(crate) struct DataSet {
    /// How many events it has: a multiple of 2,000.
    pub events: u64,
}

/// Events in a block of the data set.
const BLOCK: u64 = 2_000;
/// Short streams in a block.
const SHORT_STREAMS: u64 = 200;

/// Which of the long streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) enum LongStream {
    /// Its versions were recorded one after the other.
    Together,
    /// Its versions lie evenly over the whole data set.
    Scattered,
}

impl DataSet {
    /// A data set of about this many events.
    pub(crate) fn new(events: u64) -> Self {
        Self { events: events.next_multiple_of(BLOCK) }
    }

    /// How many streams it has.
    pub(crate) fn streams(self) -> u64 {
        self.blocks() * (SHORT_STREAMS + 2)
    }

    /// One block is one long stream of either kind.
    fn blocks(self) -> u64 {
        self.events / BLOCK
    }

    /// The event with this number, counted from 0.
    pub(crate) fn event(self, number: u64) -> Event {
        let (block, within) = (number / BLOCK, number % BLOCK);
        let (stream, version) = if within < LONG_STREAM {
            (format!("together-{block}"), within + 1)
        } else if within < 2 * LONG_STREAM {
            let scattered = block * LONG_STREAM + within - LONG_STREAM;
            (format!("scattered-{}", scattered % self.blocks()), scattered / self.blocks() + 1)
        } else {
            let short = within - 2 * LONG_STREAM;
            (format!("short-{}", block * SHORT_STREAMS + short % SHORT_STREAMS), short / SHORT_STREAMS + 1)
        };
        let event_type = EVENT_TYPES[(mix(number) % 4) as usize];
        Event { stream, version, event_type, tags: self.tags_of(number), data: data(number) }
    }

    /// The name of a long stream, any of them by a random number.
    pub(crate) fn long_stream(self, kind: LongStream, random: u64) -> String {
        let stream = random % self.blocks();
        match kind {
            LongStream::Together => format!("together-{stream}"),
            LongStream::Scattered => format!("scattered-{stream}"),
        }
    }

    /// Two tags to decide on: those of one event, or, every other time, two that hardly ever stand on one event.
    pub(crate) fn two_tags(self, random: u64) -> [String; 2] {
        let [student, course] = self.tags_of(mix(random) % self.events);
        if random.is_multiple_of(2) { [student, course] } else { [student, self.tags_of(mix(!random) % self.events)[1].clone()] }
    }

    /// About 10 events have the same student, about 1,000 the same course.
    fn tags_of(self, number: u64) -> [String; 2] {
        let random = mix(number ^ 0x5bd1_e995);
        [format!("student:{}", random % (self.events / 10)), format!("course:{}", (random >> 40) % (self.events / 1_000).max(1))]
    }
}

/// A number that looks random, the same each time: the finaliser of SplitMix64.
pub(crate) fn mix(number: u64) -> u64 {
    let mut z = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// JSON of exactly [`DATA_BYTES`], a little different for each number.
fn data(number: u64) -> Bytes {
    let mut text = format!(r#"{{"number":{number:020},"note":""#);
    let mut random = mix(number);
    while text.len() < DATA_BYTES - 2 {
        text.push(char::from(b'a' + (random % 26) as u8));
        random = random.rotate_right(5) ^ number;
    }
    text.push_str("\"}");
    text.into()
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::{DATA_BYTES, DataSet, LONG_STREAM, LongStream};

    #[test]
    fn a_data_set_counts_every_stream_without_gaps() {
        let set = DataSet::new(20_000);
        let mut versions: HashMap<String, u64> = HashMap::new();
        for event in (0..set.events).map(|number| set.event(number)) {
            let version = versions.entry(event.stream.clone()).or_default();
            *version += 1;
            assert_eq!((event.version, event.data.len()), (*version, DATA_BYTES), "{event:?}");
        }
        assert_eq!(versions.len() as u64, set.streams());
        for kind in [LongStream::Together, LongStream::Scattered] {
            assert_eq!(versions[&set.long_stream(kind, 12_345)], LONG_STREAM);
        }
    }
}
