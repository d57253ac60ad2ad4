//! A store with one fault: the store in memory, and something wrong on the way in or out.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard};

use factum::limits::APPEND_EVENTS_MAX;
use factum::testing::ManualClock;
use factum::{
    Append, AppendError, Appended, Clock, Conflict, ConsumerName, Direction, EventId, Expected, MemoryStore, Metadata, NewEvent,
    Page, Payload, Position, Query, Range, Read, ReadStreams, RecordedEvent, Scope, Selector, Store, StoreError, StreamName,
    StreamsPage, Timestamp, Version,
};
use tokio::sync::Notify;

use super::Fault;

/// How often a store with a race in it lets others run between its check and its write.
const TURNS: usize = 30;
/// The event type of what fills a hole; no reader sees it.
const HOLE: &str = "Hole";

/// The store in memory with a fault, or with none. Clones are one store.
#[derive(Clone)]
pub(super) struct Broken {
    store: MemoryStore,
    clock: ManualClock,
    fault: Option<Fault>,
    state: Arc<Mutex<State>>,
    woken: Arc<Notify>,
    /// Held to hide what is recorded before it is read.
    turn: Arc<tokio::sync::Mutex<()>>,
}

/// What faults remember.
#[derive(Default)]
struct State {
    /// Refused appends whose positions are not used up yet.
    holes: usize,
    /// Streams that a refused append was for, and the head at that time.
    refused: HashMap<StreamName, Position>,
    /// What the clock said at each append: by its last position.
    times: BTreeMap<Position, Timestamp>,
    /// Events that are recorded and not visible yet, as ranges.
    hidden: Vec<Range>,
    /// Where the last wait began.
    waited: Option<Position>,
    reopened: bool,
}

impl Broken {
    pub(super) fn new(fault: Option<Fault>, clock: ManualClock) -> Self {
        let store = MemoryStore::with_clock(clock.clone());
        Self { store, clock, fault, state: Arc::default(), woken: Arc::default(), turn: Arc::default() }
    }

    /// The store after a restart.
    pub(super) async fn reopened(self, clock: ManualClock) -> Self {
        self.state().reopened = true;
        let rebuilt = match self.fault {
            Some(Fault::MarksForgotten | Fault::TimesForgotten) => 0,
            Some(Fault::TailLost) => 1,
            _ => return self,
        };
        let all = Read::new(Query::all()).limit(usize::MAX);
        let mut events = self.store.read(all).await.unwrap().events;
        events.truncate(events.len() - rebuilt);
        let again = Self::new(self.fault, clock);
        for event in events {
            again.store.append(Append::new(vec![as_new(event)])).await.unwrap();
        }
        again
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    fn has(&self, fault: Fault) -> bool {
        self.fault == Some(fault)
    }
}

fn as_new(event: RecordedEvent) -> NewEvent {
    let RecordedEvent { id, stream, event_type, schema, tags, metadata, payload, .. } = event;
    NewEvent { id, stream, event_type, schema, tags, metadata, payload }
}

impl Store for Broken {
    async fn append(&self, append: Append) -> Result<Appended, AppendError> {
        let append = self.altered(append);
        let streams: Vec<StreamName> = append.events.iter().map(|event| event.stream.clone()).collect();
        let holes = if self.has(Fault::HoleAfterRefusal) { std::mem::take(&mut self.state().holes) } else { 0 };
        for _ in 0..holes {
            self.store.append(Append::new(vec![filler()])).await?;
        }
        let now = self.clock.now();
        let answer = self.write(append).await;
        if let Err(AppendError::Conflict(_)) = answer {
            let head = self.store.head().await?;
            let mut state = self.state();
            state.holes += 1;
            state.refused.extend(streams.into_iter().map(|stream| (stream, head)));
        }
        let mut appended = answer?;
        if self.has(Fault::TimeGoesBack) && Position::START < appended.positions.through {
            let time = *self.state().times.entry(appended.positions.through).or_insert(now);
            appended.recorded_at = Some(time);
        }
        if self.has(Fault::VersionReused) {
            let through = appended.positions.through;
            appended.versions.iter_mut().for_each(|(stream, version)| *version = self.reused(stream, through, *version));
        }
        self.woken.notify_one();
        Ok(appended)
    }

    async fn read(&self, mut read: Read) -> Result<Page, StoreError> {
        let _turn = self.turn.lock().await;
        let head = self.store.head().await?;
        match self.fault {
            Some(Fault::BackwardOffByOne) if read.direction == Direction::Backward => {
                read.range.through = read.range.through.min(head).previous();
            }
            Some(Fault::HandOverSkips) if self.state().waited.take() == Some(read.range.after) => {
                read.range.after = head.previous().max(read.range.after);
            }
            Some(Fault::RangeInclusive) => read.range.after = read.range.after.previous(),
            Some(Fault::ZeroIsZero) if read.limit == 0 => {
                return Ok(Page { events: Vec::new(), rest: Some(read.range), head });
            }
            Some(Fault::OncePerSelector) => return self.once_per_selector(read).await,
            Some(Fault::PagesUnbounded) => return self.unbounded(read).await,
            _ => {}
        }
        let mut page = self.store.read(read.clone()).await?;
        self.alter_page(&read, &mut page).await?;
        Ok(page)
    }

    async fn head(&self) -> Result<Position, StoreError> {
        let _turn = self.turn.lock().await;
        Ok(self.visible(self.store.head().await?))
    }

    async fn changed(&self, after: Position) {
        self.state().waited = Some(after);
        match self.fault {
            Some(Fault::ChangeMissed) => self.store.changed(self.store.head().await.unwrap().max(after)).await,
            Some(Fault::OneWoken) => self.woken.notified().await,
            _ => self.store.changed(after).await,
        }
    }

    async fn streams(&self, read: ReadStreams) -> Result<StreamsPage, StoreError> {
        let mut page = self.store.streams(read).await?;
        if self.has(Fault::StreamsByName) {
            page.streams.sort_by(|a, b| a.name.cmp(&b.name));
        }
        Ok(page)
    }

    async fn consumed(&self, consumer: ConsumerName) -> Result<Position, StoreError> {
        self.store.consumed(consumer).await
    }
}

/// On the way in.
impl Broken {
    /// What the store takes the append for.
    fn altered(&self, mut append: Append) -> Append {
        let guarded = append.condition.is_some();
        match self.fault {
            Some(Fault::FirstUnguarded) => append.expected.retain(|(_, expected)| *expected != Expected::NO_STREAM),
            Some(Fault::UnwrittenIgnored) => {
                let written: Vec<StreamName> = append.events.iter().map(|event| event.stream.clone()).collect();
                append.expected.retain(|(stream, _)| written.contains(stream));
            }
            Some(Fault::ConditionReadLate) => append.condition.iter_mut().for_each(|condition| condition.after = Position::MAX),
            Some(Fault::ConditionInclusive) => {
                append.condition.iter_mut().for_each(|condition| condition.after = condition.after.previous());
            }
            Some(Fault::NamesFolded) => append.expected.iter_mut().for_each(|(stream, _)| *stream = folded(stream)),
            _ => {}
        }
        append.events.iter_mut().for_each(|event| self.alter_event(event, guarded));
        append
    }

    fn alter_event(&self, event: &mut NewEvent, guarded: bool) {
        match self.fault {
            Some(Fault::PlainTagsLost) if !guarded => event.tags.clear(),
            Some(Fault::ThirtyTags) => event.tags.truncate(30),
            Some(Fault::EmptyHeadersDropped) => event.metadata.headers.retain(|_, value| !value.is_empty()),
            Some(Fault::MillisecondsOnly) => {
                let cut = |time: Timestamp| Timestamp::from_micros(time.as_micros() / 1_000 * 1_000);
                event.metadata.occurred_at = event.metadata.occurred_at.map(cut);
            }
            Some(Fault::NamesFolded) => event.stream = folded(&event.stream),
            _ => {}
        }
    }

    async fn write(&self, append: Append) -> Result<Appended, AppendError> {
        match self.fault {
            Some(Fault::VersionCheckedEarly) => {
                self.check_early(Append { expected: append.expected.clone(), ..Append::default() }).await?;
                self.store.append(Append { expected: Vec::new(), ..append }).await
            }
            Some(Fault::ConditionCheckedEarly) => {
                self.check_early(Append { condition: append.condition.clone(), ..Append::default() }).await?;
                self.store.append(Append { condition: None, ..append }).await
            }
            Some(Fault::HalfRecorded) => {
                let answer = self.store.append(append.clone()).await;
                if let (Err(AppendError::Conflict(_)), Some(first)) = (&answer, append.events.first()) {
                    self.store.append(Append::new(vec![first.clone()])).await?;
                }
                answer
            }
            Some(Fault::LosersToldStored) => match self.store.append(append).await {
                Err(AppendError::Conflict(_)) => self.store.append(Append::default()).await,
                answer => answer,
            },
            Some(Fault::WrongActual | Fault::ConflictAtFirst) => {
                self.store.append(append).await.map_err(|error| self.wrong(error))
            }
            Some(Fault::GapFillsLater) => self.hidden_at_first(append).await,
            Some(Fault::HalfVisible) => self.one_by_one(append).await,
            Some(Fault::EventsUnlimited) if APPEND_EVENTS_MAX < append.events.len() => {
                self.store.append(Append::new(append.events[APPEND_EVENTS_MAX..].to_vec())).await
            }
            Some(Fault::MarkApart | Fault::MarkUnchecked) => self.mark(append).await,
            _ => self.write_repeat(append).await,
        }
    }

    /// Whether the check passes now; the write comes after others had their turns.
    async fn check_early(&self, check: Append) -> Result<(), AppendError> {
        self.store.append(check).await?;
        self.take_turns().await;
        Ok(())
    }

    async fn take_turns(&self) {
        for _ in 0..TURNS {
            tokio::task::yield_now().await;
        }
    }

    async fn one_by_one(&self, append: Append) -> Result<Appended, AppendError> {
        let mut answer = self.store.append(Append { events: Vec::new(), ..append.clone() }).await?;
        for event in append.events {
            answer = self.store.append(Append::new(vec![event])).await?;
            tokio::task::yield_now().await;
        }
        Ok(answer)
    }

    /// Some appends are visible at once, others take their time.
    async fn hidden_at_first(&self, append: Append) -> Result<Appended, AppendError> {
        let slow = append.events.len() != 1;
        let turn = self.turn.lock().await;
        let appended = self.store.append(append).await?;
        if slow {
            self.state().hidden.push(appended.positions);
        }
        drop(turn);
        if slow {
            self.take_turns().await;
            self.state().hidden.retain(|range| *range != appended.positions);
        }
        Ok(appended)
    }

    async fn mark(&self, mut append: Append) -> Result<Appended, AppendError> {
        let mark = Append { consumed: append.consumed.take(), ..Append::default() };
        match self.store.append(mark).await {
            Err(AppendError::AlreadyConsumed { .. }) if self.has(Fault::MarkUnchecked) => {}
            answer => drop(answer?),
        }
        self.store.append(append).await
    }

    /// Writes an append with what is wrong about repeats.
    async fn write_repeat(&self, mut append: Append) -> Result<Appended, AppendError> {
        let unguarded = append.expected.is_empty() && append.condition.is_none();
        let forgets = match self.fault {
            Some(Fault::AnyIsNoCheck) => unguarded,
            Some(Fault::IdsForgotten) => self.state().reopened,
            _ => false,
        };
        if self.has(Fault::RepeatsCheckedEarly) && !self.knows(&append).await {
            self.take_turns().await;
            let again = self.knows(&append).await;
            return self.store.append(if again { renewed(append) } else { append }).await;
        }
        if self.has(Fault::RepeatsByFirstId) && self.knows(&append).await {
            append.events.truncate(1);
        }
        if forgets && self.knows(&append).await && append.check().is_ok() {
            append = renewed(append);
        }
        self.store.append(append).await
    }

    /// Whether the first event of the append is recorded.
    async fn knows(&self, append: &Append) -> bool {
        let Some(first) = append.events.first() else { return false };
        let query = Selector::from(Scope::Event(first.id)).into();
        !self.store.read(Read::new(query)).await.unwrap().events.is_empty()
    }

    fn wrong(&self, error: AppendError) -> AppendError {
        match (error, self.fault) {
            (AppendError::Conflict(mut conflict), Some(fault)) => {
                match &mut conflict {
                    Conflict::Stream { actual, .. } if fault == Fault::WrongActual => *actual = actual.next(),
                    Conflict::Condition { actual, after } if fault == Fault::ConflictAtFirst => *actual = after.next(),
                    _ => {}
                }
                conflict.into()
            }
            (error, _) => error,
        }
    }
}

fn renewed(mut append: Append) -> Append {
    append.events.iter_mut().for_each(|event| event.id = EventId::new());
    append
}

fn folded(stream: &StreamName) -> StreamName {
    StreamName::new(stream.as_str().to_lowercase()).unwrap()
}

fn filler() -> NewEvent {
    NewEvent::new("hole".parse().unwrap(), HOLE, Payload::json("{}")).unwrap()
}

/// On the way out.
impl Broken {
    async fn alter_page(&self, read: &Read, page: &mut Page) -> Result<(), StoreError> {
        let head = page.head;
        match self.fault {
            Some(Fault::HoleAfterRefusal) => page.events.retain(|event| event.event_type.as_str() != HOLE),
            Some(Fault::GapFillsLater) => {
                page.head = self.visible(head);
                let state = self.state();
                page.events.retain(|event| !state.hidden.iter().any(|range| range.contains(event.position)));
            }
            Some(Fault::HeadReadLate) => {
                self.take_turns().await;
                page.head = self.store.head().await?;
            }
            Some(Fault::OrderByTime) => page.events.sort_by_key(|event| event.metadata.occurred_at),
            Some(Fault::UnknownDropped) => {
                page.events.retain(|event| event.event_type.as_str().chars().all(char::is_alphanumeric));
            }
            Some(Fault::ForgottenBetweenPages) if read.direction == Direction::Forward => {
                page.rest = page.rest.map(|rest| Range { after: rest.after.next(), ..rest }).filter(|rest| !rest.is_empty());
            }
            _ => {}
        }
        for event in &mut page.events {
            self.alter_read(event, head);
        }
        Ok(())
    }

    fn alter_read(&self, event: &mut RecordedEvent, head: Position) {
        match self.fault {
            Some(Fault::EditedLater) if event.position.get() + 10 < head.get() => {
                event.metadata = Metadata::default().actor("editor");
            }
            Some(Fault::TimeGoesBack) => {
                let state = self.state();
                event.recorded_at = state.times.range(event.position..).next().map_or(event.recorded_at, |(_, time)| *time);
            }
            Some(Fault::VersionReused) => event.version = self.reused(&event.stream, event.position, event.version),
            _ => {}
        }
    }

    /// The version that an event has where those after a refusal begin one too low.
    fn reused(&self, stream: &StreamName, position: Position, version: Version) -> Version {
        match self.state().refused.get(stream) {
            Some(refused) if *refused < position => Version::new(version.get() - 1),
            _ => version,
        }
    }

    /// The last position that is visible.
    fn visible(&self, mut head: Position) -> Position {
        let state = self.state();
        while let Some(range) = state.hidden.iter().find(|range| range.contains(head)) {
            head = range.after;
        }
        head
    }

    async fn once_per_selector(&self, read: Read) -> Result<Page, StoreError> {
        let mut events = Vec::new();
        for selector in &read.query.selectors {
            events.extend(self.store.read(Read { query: selector.clone().into(), ..read.clone() }).await?.events);
        }
        events.sort_by_key(|event| event.position);
        Ok(Page { events, rest: None, head: self.store.head().await? })
    }

    async fn unbounded(&self, mut read: Read) -> Result<Page, StoreError> {
        let mut whole = self.store.read(read.clone()).await?;
        while let Some(rest) = whole.rest {
            read.range = rest;
            let page = self.store.read(read.clone()).await?;
            whole.events.extend(page.events);
            whole.rest = page.rest;
        }
        Ok(whole)
    }
}
