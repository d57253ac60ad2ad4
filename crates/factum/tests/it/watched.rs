//! A store as one program sees it: its calls are counted, and at one of them something happens to the program.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use factum::{
    Append, AppendError, Appended, ConsumerName, MemoryStore, Page, Position, Read, ReadStreams, Store, StoreError,
    StoreErrorKind, StreamsPage,
};
use tokio::sync::watch;

/// What happens at a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// The program dies before it has an effect.
    DeathBefore,
    /// The program dies after it had its effect.
    DeathAfter,
    /// It fails, and all is well again.
    Failure,
    /// It has its effect, and the answer gets lost.
    AnswerLost,
    /// The program stands still before it, until it is woken.
    Sleep,
}

/// At which call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum At {
    /// The one with this number, counted from 0.
    Call(usize),
    /// The first append that has an event of this type.
    AppendOf(&'static str),
}

/// What is wrong with a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    None,
    /// It does not keep what a consumer has handled.
    Forgets,
    /// It keeps what a consumer has handled first, and the events after that.
    MarksFirst,
    /// It keeps that a consumer has handled everything, whatever it says.
    MarksFurther,
    /// It checks neither expectations nor marks.
    Unchecked,
}

#[derive(Clone)]
pub(crate) struct Watched {
    memory: MemoryStore,
    fault: Fault,
    fate: Option<(At, Fate)>,
    calls: Arc<AtomicUsize>,
    pub(crate) appends: Arc<AtomicUsize>,
    pub(crate) events_read: Arc<AtomicUsize>,
    /// 0 before it, 1 since, 2 when the sleeper was woken.
    met: watch::Sender<u8>,
}

impl Watched {
    pub(crate) fn new(memory: &MemoryStore) -> Self {
        Self {
            memory: memory.clone(),
            fault: Fault::None,
            fate: None,
            calls: Arc::default(),
            appends: Arc::default(),
            events_read: Arc::default(),
            met: watch::Sender::new(0),
        }
    }

    /// At this call, this happens.
    pub(crate) fn at(mut self, call: At, fate: Fate) -> Self {
        self.fate = Some((call, fate));
        self
    }

    pub(crate) fn with(mut self, fault: Fault) -> Self {
        self.fault = fault;
        self
    }

    pub(crate) fn fate(&self) -> Option<Fate> {
        self.fate.map(|(_, fate)| fate)
    }

    pub(crate) fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }

    /// Resolves when it has met its fate.
    pub(crate) async fn met(&self) {
        self.met.subscribe().wait_for(|met| 0 < *met).await.unwrap();
    }

    pub(crate) fn wake(&self) {
        self.met.send_replace(2);
    }

    fn is_dead(&self) -> bool {
        let deadly = matches!(self.fate, Some((_, Fate::DeathBefore | Fate::DeathAfter)));
        deadly && 0 < *self.met.borrow()
    }

    /// What comes before a call; the fate that comes after it.
    async fn before(&self, append: Option<&Append>) -> Result<Option<Fate>, StoreError> {
        if self.is_dead() {
            std::future::pending::<()>().await;
        }
        let call = self.calls.fetch_add(1, Ordering::SeqCst);
        let is_it = |at: At| match at {
            At::Call(at) => at == call,
            At::AppendOf(name) => {
                let has = |append: &Append| append.events.iter().any(|event| event.event_type.as_str() == name);
                append.is_some_and(has) && *self.met.borrow() == 0
            }
        };
        let Some(fate) = self.fate.filter(|(at, _)| is_it(*at)).map(|(_, fate)| fate) else { return Ok(None) };
        match fate {
            Fate::DeathAfter | Fate::AnswerLost => Ok(Some(fate)),
            Fate::DeathBefore => {
                self.met.send_replace(1);
                std::future::pending().await
            }
            Fate::Failure => {
                self.met.send_replace(1);
                Err(StoreError::new(StoreErrorKind::Unavailable, "the test says so"))
            }
            Fate::Sleep => {
                self.met.send_replace(1);
                let mut met = self.met.subscribe();
                let _ = met.wait_for(|met| *met == 2).await;
                Ok(None)
            }
        }
    }

    async fn after(&self, fate: Option<Fate>) -> Result<(), StoreError> {
        if fate.is_some() {
            self.met.send_replace(1);
        }
        match fate {
            None => Ok(()),
            Some(Fate::AnswerLost) => Err(StoreError::new(StoreErrorKind::UnknownOutcome, "the test says so")),
            Some(_) => std::future::pending().await,
        }
    }
}

impl Store for Watched {
    async fn append(&self, mut append: Append) -> Result<Appended, AppendError> {
        let is_heartbeat = append.consumed.as_ref().is_some_and(|consumed| consumed.consumer.as_str().contains("/member/"));
        if is_heartbeat && !self.is_dead() {
            return self.memory.append(append).await;
        }
        self.appends.fetch_add(1, Ordering::SeqCst);
        let fate = self.before(Some(&append)).await?;
        match self.fault {
            Fault::None => {}
            Fault::Forgets => append.consumed = None,
            Fault::MarksFurther => {
                if let Some(mark) = &mut append.consumed {
                    mark.through = self.memory.head().await?;
                }
            }
            Fault::Unchecked => {
                append.expected.clear();
                if let Some(mark) = &append.consumed
                    && mark.through <= self.memory.consumed(mark.consumer.clone()).await?
                {
                    append.consumed = None;
                }
            }
            Fault::MarksFirst => {
                if let Some(consumed) = append.consumed.take() {
                    self.memory.append(Append { consumed: Some(consumed), ..Append::default() }).await?;
                    self.after(fate).await?;
                }
            }
        }
        let appended = self.memory.append(append).await?;
        self.after(fate).await?;
        Ok(appended)
    }

    async fn read(&self, read: Read) -> Result<Page, StoreError> {
        let page = self.memory.read(read.clone()).await?;
        if page.events.is_empty() && !self.is_dead() {
            return Ok(page);
        }
        let fate = self.before(None).await?;
        let page = self.memory.read(read).await?;
        self.events_read.fetch_add(page.events.len(), Ordering::SeqCst);
        self.after(fate).await?;
        Ok(page)
    }

    async fn head(&self) -> Result<Position, StoreError> {
        self.memory.head().await
    }

    async fn consumed(&self, consumer: ConsumerName) -> Result<Position, StoreError> {
        let fate = self.before(None).await?;
        let consumed = self.memory.consumed(consumer).await?;
        self.after(fate).await?;
        Ok(consumed)
    }

    async fn changed(&self, after: Position) {
        self.memory.changed(after).await;
    }

    async fn streams(&self, read: ReadStreams) -> Result<StreamsPage, StoreError> {
        self.memory.streams(read).await
    }
}
