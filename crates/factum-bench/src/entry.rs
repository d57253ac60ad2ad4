//! The events that every system on PostgreSQL keeps: the same JSON for all of them.

use serde::{Deserialize, Serialize};

use crate::workload::{Event, mix};

/// What notes are cut from.
const LETTERS: &str = "the quick brown fox jumps over the lazy dog and the slow black cat looks at both of them until the \
    sun goes down behind the hill where nobody ever saw a dog jump over anything but a puddle after the rain of a long week";

/// Bytes of a note, which make an event about as long as those of the other suites.
const NOTE_BYTES: usize = 100;

/// An event.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Entry {
    /// The stream it belongs to, where a system has streams.
    pub stream: String,
    /// What it is found by, where a system finds events by more than their streams.
    pub student: String,
    /// Likewise.
    pub course: String,
    /// Which one it is.
    pub number: u64,
    /// So that it has a length.
    pub note: String,
}

impl Entry {
    /// An event of a writer's own stream.
    pub(crate) fn of_writer(writer: u64, number: u64) -> Self {
        let (stream, student) = (format!("writer-{writer}"), format!("student:{writer}"));
        Self { stream, student, course: format!("course:{}", number % 1_000), number, note: note(number) }
    }

    /// An event of a data set, or of a decision on one.
    pub(crate) fn of_event(event: Event, number: u64) -> Self {
        let Event { stream, tags: [student, course], .. } = event;
        Self { stream, student, course, number, note: note(number) }
    }
}

fn note(number: u64) -> String {
    let first = mix(number) as usize % (LETTERS.len() - NOTE_BYTES);
    LETTERS[first..first + NOTE_BYTES].to_owned()
}
