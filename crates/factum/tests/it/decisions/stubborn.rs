//! A store that gets in the way, at the very moment that a test names.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use factum::{
    Append, AppendError, Appended, ConsumerName, MemoryStore, NewEvent, Page, Position, Read, ReadStreams, Store, StoreError,
    StoreErrorKind, StreamsPage,
};
use tokio::sync::Barrier;

/// A store in memory, with plans for what is asked of it next.
#[derive(Clone, Default)]
pub(crate) struct Stubborn {
    pub(crate) memory: MemoryStore,
    plans: Arc<Mutex<Plans>>,
}

#[derive(Default)]
struct Plans {
    answers: VecDeque<Answer>,
    before_appends: VecDeque<NewEvent>,
    after_reads: VecDeque<NewEvent>,
    meeting: Option<(usize, Arc<Barrier>)>,
    appends: Vec<Append>,
}

/// How an append goes wrong.
#[derive(Clone, Copy)]
pub(crate) enum Answer {
    /// It is recorded, and the answer is this failure.
    Recorded(StoreErrorKind),
    /// It is not recorded, and the answer is this failure.
    Lost(StoreErrorKind),
}

impl Stubborn {
    /// The next appends are answered like this.
    pub(crate) fn answer(&self, answers: impl IntoIterator<Item = Answer>) {
        self.plans.lock().unwrap().answers.extend(answers);
    }

    /// Another writer is faster: before each of the next appends, one of these events is recorded.
    pub(crate) fn before_appends(&self, events: impl IntoIterator<Item = NewEvent>) {
        self.plans.lock().unwrap().before_appends.extend(events);
    }

    /// Another writer comes in between: after each of the next reads, one of these events is recorded.
    pub(crate) fn after_reads(&self, events: impl IntoIterator<Item = NewEvent>) {
        self.plans.lock().unwrap().after_reads.extend(events);
    }

    /// The next so many reads wait for each other, once each has read: all of them have seen the same.
    pub(crate) fn meet_after_reading(&self, readers: usize) {
        self.plans.lock().unwrap().meeting = Some((readers, Arc::new(Barrier::new(readers))));
    }

    /// Every append that was asked for.
    pub(crate) fn appends(&self) -> Vec<Append> {
        self.plans.lock().unwrap().appends.clone()
    }

    fn barrier(&self) -> Option<Arc<Barrier>> {
        let mut plans = self.plans.lock().unwrap();
        let (left, barrier) = plans.meeting.as_mut()?;
        *left = left.checked_sub(1)?;
        Some(barrier.clone())
    }
}

impl Store for Stubborn {
    async fn append(&self, append: Append) -> Result<Appended, AppendError> {
        let (answer, faster) = {
            let mut plans = self.plans.lock().unwrap();
            plans.appends.push(append.clone());
            (plans.answers.pop_front(), plans.before_appends.pop_front())
        };
        if let Some(event) = faster {
            self.memory.append(Append::new(vec![event])).await?;
        }
        match answer {
            None => self.memory.append(append).await,
            Some(Answer::Lost(kind)) => Err(StoreError::new(kind, "the test says so").into()),
            Some(Answer::Recorded(kind)) => {
                self.memory.append(append).await?;
                Err(StoreError::new(kind, "the test says so").into())
            }
        }
    }

    async fn read(&self, read: Read) -> Result<Page, StoreError> {
        let page = self.memory.read(read).await?;
        if let Some(barrier) = self.barrier() {
            barrier.wait().await;
        }
        let between = self.plans.lock().unwrap().after_reads.pop_front();
        if let Some(event) = between {
            self.memory.append(Append::new(vec![event])).await.expect("a lone event is taken");
        }
        Ok(page)
    }

    async fn head(&self) -> Result<Position, StoreError> {
        self.memory.head().await
    }

    async fn changed(&self, after: Position) {
        self.memory.changed(after).await;
    }

    async fn streams(&self, read: ReadStreams) -> Result<StreamsPage, StoreError> {
        self.memory.streams(read).await
    }

    async fn consumed(&self, consumer: ConsumerName) -> Result<Position, StoreError> {
        self.memory.consumed(consumer).await
    }
}

/// An event as someone else would record it.
pub(crate) fn foreign(stream: &str, event_type: &str, data: &'static str) -> NewEvent {
    NewEvent::new(stream.parse().unwrap(), event_type, factum::Payload::json(data)).unwrap()
}
