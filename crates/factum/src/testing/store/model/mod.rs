//! Comparison with the store in memory: random operations, and the same answer to each of them.
//!
//! A seed makes the operations, so that a difference can be found again. A backend's author runs many seeds in a loop, or
//! leaves the choice of the seed, and of how many operations are needed, to a property-testing library.

use std::fmt::Debug;

use super::Backend;
use super::bench::{Bench, Opened, caught};
use super::builders::{all_streams, read_all};
use crate::{
    AnyStore, Append, AppendError, Appended, ConsumerName, MemoryStore, Query, Read, ReadStreams, Store, StreamName, Timestamp,
};

mod random;
mod operations;
pub use operations::operations;

/// One thing that is asked of a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operation {
    /// Append this.
    Append(Append),
    /// Read all pages of this.
    Read(Read),
    /// Read all pages of these streams.
    Streams(ReadStreams),
    /// Read a consumer's mark.
    Consumed(ConsumerName),
    /// Set the clock, to an earlier time too.
    SetClock(Timestamp),
    /// Close the store and open it again; one that keeps nothing, and what it is compared with, begin anew.
    Reopen,
}

/// The first operation that a store and the one in memory answer differently.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("operation {number}, {operation}: the store answers {actual}, and the store in memory {expected}")]
pub struct Difference {
    /// Which operation it is, counted from 1; those after the last read everything.
    pub number: usize,
    /// The operation.
    pub operation: String,
    /// What the store in memory answers.
    pub expected: String,
    /// What the store answers.
    pub actual: String,
}

/// Compares the store with the one in memory by this many operations, made from a seed.
///
/// # Panics
/// Where they differ: with the operation, both answers, and how to repeat it.
pub async fn check<B: Backend>(backend: &B, seed: u64, count: usize) {
    let difference = match caught(compare(backend, &operations(seed, count))).await {
        Ok(Ok(())) => return,
        Ok(Err(difference)) => difference.to_string(),
        Err(panic) => panic,
    };
    panic!("{difference}\nrepeat it with `model::check(&backend, {seed}, {count})`");
}

/// Compares the store with the one in memory by these operations, and by all that can be read after them.
///
/// # Errors
/// [`Difference`] tells the first operation that is answered differently.
///
/// # Panics
/// Where an answer is wrong in itself: a page without order, say.
pub async fn compare<B: Backend>(backend: &B, operations: &[Operation]) -> Result<(), Difference> {
    let bench = Bench::new(backend);
    let mut pair = Pair::new(&bench).await;
    let every_event = [Operation::Read(Read::new(Query::all())), Operation::Read(Read::new(Query::all()).backward())];
    let every_stream = [Operation::Streams(ReadStreams { limit: usize::MAX, ..ReadStreams::default() })];
    for (number, operation) in (1..).zip(operations.iter().chain(&every_event).chain(&every_stream)) {
        pair = match operation {
            Operation::Reopen => pair.reopen(&bench).await,
            Operation::SetClock(time) => {
                bench.clock.set(*time);
                pair
            }
            _ => pair,
        };
        let store = answer(&pair.opened.store, operation).await;
        let memory = answer(&pair.memory, operation).await;
        if store != memory {
            let (actual, expected) = (store.show(), memory.show());
            return Err(Difference { number, operation: format!("{operation:?}"), expected, actual });
        }
    }
    Ok(())
}

/// A store, and the one in memory that it is compared with.
struct Pair<'a> {
    opened: Opened<'a>,
    memory: AnyStore,
}

impl<'a> Pair<'a> {
    async fn new(bench: &Bench<'a>) -> Self {
        Self { opened: bench.open().await, memory: AnyStore::new(MemoryStore::with_clock(bench.clock.clone())) }
    }

    async fn reopen(self, bench: &Bench<'a>) -> Self {
        match self.opened.reopen().await {
            Some(opened) => Self { opened, memory: self.memory },
            None => Self::new(bench).await,
        }
    }
}

/// What a store answers, part by part, so that a difference can be told in short.
#[derive(PartialEq)]
struct Answer(Vec<String>);

impl Answer {
    fn of<T: Debug>(parts: impl IntoIterator<Item = T>) -> Self {
        Self(parts.into_iter().map(|part| format!("{part:?}")).collect())
    }

    fn show(&self) -> String {
        format!("{} part(s): [{}]", self.0.len(), self.0.join(", "))
    }
}

async fn answer(store: &AnyStore, operation: &Operation) -> Answer {
    match operation {
        Operation::Append(append) => {
            let answer = appended(store.append(append.clone()).await);
            Answer(vec![answer, format!("{:?}", super::builders::head(store).await)])
        }
        Operation::Read(read) => Answer::of(read_all(store, read.clone()).await),
        Operation::Streams(read) => Answer::of(all_streams(store, read.clone()).await),
        Operation::Consumed(consumer) => Answer::of([store.consumed(consumer.clone()).await.expect("a mark can be read")]),
        Operation::SetClock(_) | Operation::Reopen => Answer::of([super::builders::head(store).await]),
    }
}

/// The answer in full, but for the words of a failing store.
fn appended(answer: Result<Appended, AppendError>) -> String {
    match answer {
        Err(AppendError::Store(failure)) => format!("{:?}", failure.kind()),
        other => format!("{other:?}"),
    }
}

/// The streams that operations write to.
pub(super) const STREAMS: [&str; 6] = ["a-1", "a-2", "b-1", "b", "ä-1", "A-1"];

fn stream_of(index: usize) -> StreamName {
    super::builders::stream(STREAMS[index])
}
