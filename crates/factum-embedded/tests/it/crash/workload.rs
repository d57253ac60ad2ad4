//! What a store is put through before the power goes: random appends that follow from a seed, and what became of each.

use std::collections::HashMap;
use std::sync::Arc;

use factum::{
    Append, AppendError, Appended, Category, ConsumerName, EventId, EventType, Expected, Metadata, NewEvent, Payload, Position,
    Query, RecordedEvent, Scope, Selector, Store, StreamName, Tag, Version,
};
use factum_embedded::simulation::{Random, SimulatedDisk};
use factum_embedded::{EmbeddedStore, Options};

/// One append that was recorded.
#[derive(Debug, Clone)]
pub(crate) struct Commit {
    pub(crate) events: Vec<RecordedEvent>,
    pub(crate) consumed: Option<(ConsumerName, Position)>,
    /// How many operations the disk had done when the append was handed in, and when it was acknowledged.
    pub(crate) submitted: usize,
    pub(crate) acknowledged: usize,
}

/// The commits of a log, in their order.
pub(crate) type History = Vec<Arc<Commit>>;

/// How the workload of a seed opens its store: with small files, so that there are many of them.
pub(crate) fn options(seed: u64) -> Options {
    let mut random = Random::new(seed);
    let options = Options::default()
        .segment_bytes(*random.pick(&[4 << 10, 16 << 10, 16 << 10, 64 << 10]))
        .fill_bytes(*random.pick(&[0, 1 << 10, 4 << 10, 4 << 10]))
        .index_events(*random.pick(&[1, 8, 16, 16, 1_000]));
    // Mostly in the writer's own time, so that a seed repeats what it did.
    if random.once_in(4) { options } else { options.index_inline() }
}

/// Opens the store of a disk.
pub(crate) fn open(disk: &SimulatedDisk, options: &Options) -> Result<EmbeddedStore, factum::StoreError> {
    options.open_on(Arc::new(disk.clone()))
}

/// Runs the workload of a seed on an empty disk.
pub(crate) async fn run(disk: &SimulatedDisk, seed: u64) -> History {
    let options = options(seed);
    let store = open(disk, &options).expect("an empty disk can be opened");
    let (history, versions, consumed) = (Vec::new(), HashMap::new(), HashMap::new());
    let mut run = Run { disk, options, store, random: Random::new(seed), history, versions, head: 0, consumed };
    let steps = 15 + run.random.below(40);
    for _ in 0..steps {
        run.step().await;
    }
    run.store.close();
    run.history
}

struct Run<'a> {
    disk: &'a SimulatedDisk,
    options: Options,
    store: EmbeddedStore,
    random: Random,
    history: History,
    versions: HashMap<StreamName, u64>,
    head: u64,
    consumed: HashMap<ConsumerName, u64>,
}

/// An append that was acknowledged, with the operations of the disk before and after it.
struct Acknowledged {
    append: Append,
    appended: Appended,
    submitted: usize,
    acknowledged: usize,
}

impl Run<'_> {
    async fn step(&mut self) {
        match self.random.below(24) {
            0 => self.reopen(),
            1 | 2 => self.append_refused().await,
            3 => self.append_repeated().await,
            4 => self.append_mark().await,
            5..8 => self.append_together().await,
            _ => self.append_one().await,
        }
    }

    fn reopen(&mut self) {
        self.store.close();
        self.store = open(self.disk, &self.options).expect("a closed store can be opened");
    }

    async fn append_one(&mut self) {
        let mut append = Append::new(new_events(&mut self.random));
        if self.random.once_in(2) {
            let stream = append.events[0].stream.clone();
            let expected = Expected::Exact(self.version(&stream));
            append = append.expect(stream, expected);
        }
        if self.random.once_in(4) {
            append = append.condition(some_query(&mut self.random), Position::new(self.head));
        }
        if self.random.once_in(4) {
            let (consumer, through) = self.next_mark();
            append = append.consumed(consumer, through);
        }
        let done = acknowledge(self.disk.clone(), self.store.clone(), append).await;
        self.record(done);
    }

    /// An append that only marks.
    async fn append_mark(&mut self) {
        let (consumer, through) = self.next_mark();
        let append = Append::default().consumed(consumer, through);
        let done = acknowledge(self.disk.clone(), self.store.clone(), append).await;
        self.record(done);
    }

    /// Several appends while the disk is busy with the first, so that the others are one batch.
    async fn append_together(&mut self) {
        let held = Arc::new(self.disk.hold_syncs(".seg"));
        let count = 3 + self.random.below(5);
        let mut appends: Vec<_> = (0..count).map(|_| Append::new(new_events(&mut self.random))).collect();
        let spawn = |append| tokio::spawn(acknowledge(self.disk.clone(), self.store.clone(), append));
        let mut running = vec![spawn(appends.remove(0))];
        let waiting = Arc::clone(&held);
        tokio::task::spawn_blocking(move || waiting.wait()).await.expect("the append is synced");
        running.extend(appends.into_iter().map(spawn));
        tokio::task::yield_now().await;
        drop(held);
        let mut done = Vec::new();
        for append in running {
            done.push(append.await.expect("the append does not panic"));
        }
        done.sort_by_key(|done| done.appended.positions.through);
        done.into_iter().for_each(|done| self.record(done));
    }

    /// An append that must not be recorded.
    async fn append_refused(&mut self) {
        let append = Append::new(new_events(&mut self.random));
        let stream = append.events[0].stream.clone();
        let version = self.version(&stream);
        let refused = match self.random.below(3) {
            0 => append.expect(stream, Expected::Exact(version.next())),
            1 if 0 < self.head => append.condition(Query::all(), Position::START),
            _ => append.expect("nobody-1".parse().expect("a name"), Expected::Exists),
        };
        let error = self.store.append(refused).await.expect_err("it is refused");
        assert!(matches!(error, AppendError::Conflict(_)), "{error:?}");
    }

    /// An append that was acknowledged already.
    async fn append_repeated(&mut self) {
        let with_events: Vec<_> = self.history.iter().filter(|commit| !commit.events.is_empty()).collect();
        if with_events.is_empty() {
            return;
        }
        let commit = *self.random.pick(&with_events);
        let again = Append::new(commit.events.iter().map(to_append_again).collect());
        let appended = self.store.append(again).await.expect("a repeat is answered");
        let last = commit.events.last().map(|event| event.position);
        assert_eq!(Some(appended.positions.through), last, "a repeat is answered with its original");
    }

    fn version(&self, stream: &StreamName) -> Version {
        Version::new(self.versions.get(stream).copied().unwrap_or_default())
    }

    fn next_mark(&mut self) -> (ConsumerName, Position) {
        let consumer: ConsumerName = format!("consumer-{}", self.random.below(3)).parse().expect("a name");
        let through = self.consumed.get(&consumer).copied().unwrap_or_default() + 1 + self.random.below(9) as u64;
        (consumer, Position::new(through))
    }

    fn record(&mut self, done: Acknowledged) {
        let Acknowledged { append, appended, submitted, acknowledged } = done;
        assert_eq!(appended.positions.after, Position::new(self.head), "positions have no gap");
        let time = appended.recorded_at;
        let mut events = Vec::new();
        for event in append.events {
            self.head += 1;
            let version = self.versions.entry(event.stream.clone()).or_default();
            *version += 1;
            let time = time.expect("an append with events has a time");
            events.push(RecordedEvent::record(event, Position::new(self.head), Version::new(*version), time));
        }
        for (stream, version) in &appended.versions {
            assert_eq!(*version, self.version(stream), "{stream}");
        }
        let consumed = append.consumed.map(|consumed| (consumed.consumer, consumed.through));
        self.consumed.extend(consumed.iter().map(|(consumer, through)| (consumer.clone(), through.get())));
        self.history.push(Arc::new(Commit { events, consumed, submitted, acknowledged }));
    }
}

async fn acknowledge(disk: SimulatedDisk, store: EmbeddedStore, append: Append) -> Acknowledged {
    let submitted = disk.operations();
    let appended = store.append(append.clone()).await.expect("a good disk takes every append");
    Acknowledged { append, appended, submitted, acknowledged: disk.operations() }
}

fn to_append_again(event: &RecordedEvent) -> NewEvent {
    let RecordedEvent { id, stream, event_type, schema, tags, metadata, payload, .. } = event.clone();
    NewEvent { id, stream, event_type, schema, tags, metadata, payload }
}

/// One to five events, most of them of up to 3,000 bytes.
fn new_events(random: &mut Random) -> Vec<NewEvent> {
    let count = if random.once_in(2) { 1 } else { 1 + random.below(5) };
    (0..count).map(|_| new_event(random)).collect()
}

/// An event like those that a workload appends.
pub(crate) fn new_event(random: &mut Random) -> NewEvent {
    let bytes = match random.below(100) {
        // So many that the engine does not write zeros first.
        0 => 65_000 + random.below(3_000),
        1..20 => random.below(3_001),
        20..50 => 0,
        _ => random.below(300),
    };
    // Long runs of zeros are like disk that was never written to.
    let data = if random.once_in(4) { vec![0; bytes] } else { random.bytes(bytes) };
    let mut event = NewEvent::new(some_stream(random), "Happened", Payload::json(data)).expect("a name");
    event.id = EventId::from(uuid(random));
    event.event_type = some_type(random);
    for key in 0..2 {
        if random.once_in(2) {
            event.tags.push(some_tag(random, key));
        }
    }
    if random.once_in(4) {
        event.metadata = Metadata::default().actor("ann").correlation_id(some_correlation(random)).header("tenant", "eu");
        event.schema = 2;
    }
    event
}

/// Another event that takes as many bytes on disk as this one.
pub(crate) fn of_the_length_of(event: &RecordedEvent, random: &mut Random) -> NewEvent {
    let mut event = to_append_again(event);
    event.id = EventId::from(uuid(random));
    event.payload.data = random.bytes(event.payload.data.len()).into();
    event
}

fn uuid(random: &mut Random) -> uuid::Uuid {
    uuid::Uuid::from_u64_pair(random.number(), random.number())
}

fn some_stream(random: &mut Random) -> StreamName {
    let category = *random.pick(&["account", "order"]);
    format!("{category}-{}", random.below(6)).parse().expect("a name")
}

fn some_type(random: &mut Random) -> EventType {
    random.pick(&["Opened", "Deposited", "Withdrawn"]).parse().expect("a name")
}

fn some_tag(random: &mut Random, key: usize) -> Tag {
    Tag::of(["course", "student"][key], random.below(4)).expect("a tag")
}

fn some_correlation(random: &mut Random) -> String {
    format!("conversation-{}", random.below(3))
}

/// A query that selects some of a workload's events.
pub(crate) fn some_query(random: &mut Random) -> Query {
    let mut query = Query::from(some_selector(random));
    while random.once_in(3) {
        query = query.or(some_selector(random));
    }
    query
}

fn some_selector(random: &mut Random) -> Selector {
    let mut selector = Selector::default();
    match random.below(6) {
        0 => selector.scope = Scope::Stream(some_stream(random), factum::Versions::ALL),
        1 => selector.scope = Scope::Category(Category::new(*random.pick(&["account", "order"])).expect("a name")),
        2 => selector.scope = Scope::Correlation(some_correlation(random)),
        _ => {}
    }
    for key in [0, 1] {
        if random.once_in(3) {
            selector = selector.tag(some_tag(random, key));
        }
    }
    while random.once_in(3) {
        selector = selector.event_type(some_type(random));
    }
    selector
}
