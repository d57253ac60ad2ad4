//! The queue of appends that wait for the writer: bounded in bytes, drained all at once.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use factum::{AppendError, Appended, Consumed, Expected, NewEvent, StreamName};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use crate::format::Record;
use crate::index::{EventTerms, Seed, Term};

/// What the waiting appends may take in memory, in KiB: callers beyond it wait for room.
const QUEUE_KIB: usize = 256 << 10;

/// An append that waits for its turn.
pub(crate) struct Request {
    pub(crate) draft: Draft,
    pub(crate) condition: Option<PreparedCondition>,
    pub(crate) answer: oneshot::Sender<Result<Appended, AppendError>>,
    _room: OwnedSemaphorePermit,
}

/// What the writer needs of an event beside its record.
pub(crate) struct Prepared {
    pub(crate) stream: StreamName,
    pub(crate) terms: EventTerms,
}

/// A condition, and up to where it is known to hold.
pub(crate) struct PreparedCondition {
    pub(crate) condition: factum::Condition,
    pub(crate) holds_to: factum::Position,
}

/// An append, as far as it can be prepared before its turn.
pub(crate) struct Draft {
    /// The records, one after the other, not sealed yet; the mark's last.
    pub(crate) records: Vec<u8>,
    pub(crate) events: Vec<Prepared>,
    pub(crate) expected: Vec<(u128, StreamName, Expected)>,
    pub(crate) consumed: Option<Consumed>,
}

impl Draft {
    pub(crate) fn new(
        seed: Seed,
        events: &[NewEvent],
        expected: Vec<(StreamName, Expected)>,
        consumed: Option<Consumed>,
    ) -> Self {
        let mut records = Vec::with_capacity(events.iter().map(|event| event.payload.data.len() + 192).sum());
        events.iter().for_each(|event| Record::encode(event, &mut records));
        if let Some(Consumed { consumer, .. }) = &consumed {
            Record::encode_mark(consumer.as_str(), &mut records);
        }
        let prepared = |event: &NewEvent| Prepared { stream: event.stream.clone(), terms: EventTerms::of_new(seed, event) };
        let hashed = |(stream, expected): (StreamName, _)| (seed.hash(Term::Stream(stream.as_str())), stream, expected);
        Self {
            records,
            events: events.iter().map(prepared).collect(),
            expected: expected.into_iter().map(hashed).collect(),
            consumed,
        }
    }
}

/// What the writer finds.
pub(crate) enum Taken {
    Requests(Vec<Request>),
    /// Nothing came for a while.
    Idle,
    /// Nothing will come any more.
    Closed,
}

/// The queue.
pub(crate) struct Queue {
    state: Mutex<State>,
    ready: Condvar,
    room: Arc<Semaphore>,
}

#[derive(Default)]
struct State {
    requests: Vec<Request>,
    is_closed: bool,
}

impl Queue {
    pub(crate) fn new() -> Self {
        Self { state: Mutex::default(), ready: Condvar::new(), room: Arc::new(Semaphore::new(QUEUE_KIB)) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues an append as soon as there is room; `None` where the queue is closed.
    pub(crate) async fn push(
        &self,
        draft: Draft,
        condition: Option<PreparedCondition>,
    ) -> Option<oneshot::Receiver<Result<Appended, AppendError>>> {
        let kib = (draft.records.len() >> 10) + draft.events.len().div_ceil(4) + 1;
        let room = Arc::clone(&self.room).acquire_many_owned(kib.min(QUEUE_KIB) as u32).await.ok()?;
        let (answer, answered) = oneshot::channel();
        let request = Request { draft, condition, answer, _room: room };
        let mut state = self.state();
        if state.is_closed {
            return None;
        }
        state.requests.push(request);
        drop(state);
        self.ready.notify_one();
        Some(answered)
    }

    /// All that waits, or what happens first within the patience.
    pub(crate) fn take(&self, patience: Option<Duration>) -> Taken {
        let mut state = self.state();
        loop {
            if !state.requests.is_empty() {
                return Taken::Requests(std::mem::take(&mut state.requests));
            }
            if state.is_closed {
                return Taken::Closed;
            }
            match patience {
                Some(patience) => {
                    let (waited, timeout) = self.ready.wait_timeout(state, patience).unwrap_or_else(PoisonError::into_inner);
                    if timeout.timed_out() && waited.requests.is_empty() && !waited.is_closed {
                        return Taken::Idle;
                    }
                    state = waited;
                }
                None => state = self.ready.wait(state).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }

    /// Takes no more appends; those that wait are still served.
    pub(crate) fn close(&self) {
        self.state().is_closed = true;
        self.room.close();
        self.ready.notify_one();
    }
}
