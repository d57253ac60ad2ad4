//! The queue of appends that wait for the writer: bounded in bytes, drained all at once.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use factum::{AppendError, Appended, Consumed, Expected, NewEvent, StreamName};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use crate::format::Record;
use crate::index::{EventTerms, Seed, Term};

/// What the waiting appends may take in memory, in KiB: callers beyond it wait for room.
const QUEUE_KIB: usize = 256 << 10;

/// What a record usually takes beside its data, in bytes.
const REST_BYTES_USUALLY: usize = 192;

/// How long the writer stays awake when nothing waits.
const SPIN: Duration = Duration::from_micros(60);

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
        let mut records = Vec::with_capacity(events.iter().map(|event| event.payload.data.len() + REST_BYTES_USUALLY).sum());
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

/// For how many appends the writer waits, and how long at most.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Gathering {
    pub(crate) appends: usize,
    pub(crate) moment: Duration,
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
    /// The writer is to be woken when so many wait.
    wanted: usize,
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
        let is_enough = state.wanted <= state.requests.len();
        drop(state);
        if is_enough {
            self.ready.notify_one();
        }
        Some(answered)
    }

    /// All that waits, once something does, or what else happens within the patience.
    ///
    /// Callers that were just answered are often about to append again, and one sync serves all that wait: so the writer gives
    /// them a moment to gather.
    pub(crate) fn take(&self, patience: Option<Duration>, gathering: Gathering) -> Taken {
        self.spin();
        let mut state = self.wait(self.state(), 1, patience);
        if !state.requests.is_empty() && state.requests.len() < gathering.appends && !state.is_closed {
            state = self.wait(state, gathering.appends, Some(gathering.moment));
        }
        match std::mem::take(&mut state.requests) {
            requests if !requests.is_empty() => Taken::Requests(requests),
            _ if state.is_closed => Taken::Closed,
            _ => Taken::Idle,
        }
    }

    /// Looks for a request again and again for a moment: a caller that was just answered is often back before a sleeper wakes up.
    fn spin(&self) {
        let began = Instant::now();
        while began.elapsed() < SPIN && self.state().requests.is_empty() {
            std::thread::yield_now();
        }
    }

    /// Waits until so many requests wait, the queue is closed or the patience ends.
    fn wait<'a>(&self, mut state: MutexGuard<'a, State>, wanted: usize, patience: Option<Duration>) -> MutexGuard<'a, State> {
        state.wanted = wanted;
        let is_waiting = |state: &mut State| state.requests.len() < wanted && !state.is_closed;
        match patience {
            Some(patience) => {
                let waited = self.ready.wait_timeout_while(state, patience, is_waiting);
                waited.unwrap_or_else(PoisonError::into_inner).0
            }
            None => self.ready.wait_while(state, is_waiting).unwrap_or_else(PoisonError::into_inner),
        }
    }

    /// Takes no more appends and lets go of those that wait: their callers learn that the outcome is unknown.
    pub(crate) fn abandon(&self) {
        self.close();
        self.state().requests.clear();
    }

    /// Takes no more appends; those that wait are still served.
    pub(crate) fn close(&self) {
        self.state().is_closed = true;
        self.room.close();
        self.ready.notify_one();
    }
}
