//! Snapshots: always the state that a full replay makes, or not used.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use factum::testing::snapshot_equals_replay;
use factum::{
    Aggregate, Append, Event, FileSnapshots, Log, MemorySnapshots, MemoryStore, Repository, SavedSnapshot, Snapshot,
    SnapshotStore, StoreError, StoreErrorKind, StreamName, Version,
};
use serde::{Deserialize, Serialize};

use super::account::id;
use super::stubborn::foreign;

#[derive(Debug, Clone, PartialEq, Event)]
#[event(name = "Counted")]
struct Counted {
    by: u64,
}

/// What is counted, by the rules of a schema. It is a delta each time, so that an event applied twice shows.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
struct Counter<const SCHEMA: u32> {
    sum: u64,
}

impl<const SCHEMA: u32> Aggregate for Counter<SCHEMA> {
    const CATEGORY: &'static str = "counter";
    type Id = String;
    type Event = Counted;

    fn apply(&mut self, event: &Counted) {
        self.sum += event.by;
    }
}

impl<const SCHEMA: u32> Snapshot for Counter<SCHEMA> {
    const SCHEMA: u32 = SCHEMA;
    const EVERY: u64 = 5;
}

type Counters = Repository<Counter<1>>;

async fn count<const SCHEMA: u32>(counters: &Repository<Counter<SCHEMA>>, events: u64) {
    for _ in 0..events {
        let decided = counters.decide(&id("1"), |_| Ok::<_, StoreError>(vec![Counted { by: 10 }])).await.unwrap();
        assert!(decided.snapshot_error.is_none());
    }
}

async fn check<const SCHEMA: u32>(counters: &Repository<Counter<SCHEMA>>, events: u64, snapshot: u64) {
    let loaded = counters.load(&id("1")).await.unwrap();
    let expected = (events * 10, Version::new(events), Version::new(snapshot));
    assert_eq!((loaded.state.sum, loaded.version, loaded.snapshot), expected);
}

#[tokio::test]
async fn a_snapshot_and_its_tail_are_what_a_full_replay_is() {
    let folder = tempfile::tempdir().unwrap();
    let counters = Log::new(MemoryStore::new()).repository::<Counter<1>>();
    let in_memory = counters.with_snapshots(MemorySnapshots::new());
    let in_files = counters.with_snapshots(FileSnapshots::new(folder.path()).unwrap());
    for events in (2..=40).step_by(2) {
        count(&in_memory, 1).await;
        count(&in_files, 1).await;
        let full = counters.load(&id("1")).await.unwrap();
        assert_eq!((full.state.sum, full.snapshot), (events * 10, Version::EMPTY));
        for counters in [&in_memory, &in_files] {
            let loaded = counters.load(&id("1")).await.unwrap();
            assert_eq!((&loaded.state, loaded.version, loaded.position), (&full.state, full.version, full.position));
            assert!(events < 6 || events <= loaded.snapshot.get() + 6, "{loaded:?}");
        }
    }
}

#[tokio::test]
async fn a_snapshot_is_taken_when_it_is_due_and_loading_begins_there() {
    let counters = Log::new(MemoryStore::new()).repository::<Counter<1>>().with_snapshots(MemorySnapshots::new());
    count(&counters, 4).await;
    check(&counters, 4, 0).await;
    count(&counters, 1).await;
    check(&counters, 5, 5).await;
    count(&counters, 4).await;
    check(&counters, 9, 5).await;
    let two = |_: &Counter<1>| Ok::<_, StoreError>(vec![Counted { by: 10 }, Counted { by: 10 }]);
    counters.decide(&id("1"), two).await.unwrap();
    check(&counters, 11, 11).await;
}

#[tokio::test]
async fn a_long_stream_gets_its_first_snapshot_with_the_next_command() {
    let log = Log::new(MemoryStore::new());
    let events = (0..1_200).map(|_| foreign("counter-1", "Counted", r#"{"by":10}"#));
    log.append(Append::new(events.collect())).await.unwrap();
    let counters = log.repository::<Counter<1>>().with_snapshots(MemorySnapshots::new());
    count(&counters, 1).await;
    check(&counters, 1_201, 1_201).await;
}

#[tokio::test]
async fn a_snapshot_of_another_schema_is_not_used() {
    let (log, snapshots) = (Log::new(MemoryStore::new()), MemorySnapshots::new());
    count(&log.repository::<Counter<1>>().with_snapshots(snapshots.clone()), 7).await;
    let newer = log.repository::<Counter<2>>().with_snapshots(snapshots);
    check(&newer, 7, 0).await;
    count(&newer, 1).await;
    check(&newer, 8, 8).await;
}

#[tokio::test]
async fn a_snapshot_ahead_of_its_stream_is_not_used() {
    let snapshots = MemorySnapshots::new();
    let counters = |store| Log::new(store).repository::<Counter<1>>().with_snapshots(snapshots.clone());
    count(&counters(MemoryStore::new()), 10).await;
    let restored = counters(MemoryStore::new());
    check(&restored, 0, 0).await;
    count(&restored, 3).await;
    check(&restored, 3, 0).await;
}

#[tokio::test]
async fn a_snapshot_of_another_history_is_not_used() {
    let snapshots = MemorySnapshots::new();
    count(&Log::new(MemoryStore::new()).repository::<Counter<1>>().with_snapshots(snapshots.clone()), 5).await;
    let log = Log::new(MemoryStore::new());
    let events = (0..9).map(|_| foreign("counter-1", "Counted", r#"{"by":10}"#));
    log.append(Append::new(events.collect())).await.unwrap();
    check(&log.repository::<Counter<1>>().with_snapshots(snapshots), 9, 0).await;
}

#[tokio::test]
async fn a_snapshot_that_is_deleted_is_made_again() {
    let folder = tempfile::tempdir().unwrap();
    let counters = in_files(&folder);
    count(&counters, 5).await;
    check(&counters, 5, 5).await;
    fs::remove_file(the_file(&folder)).unwrap();
    check(&counters, 5, 0).await;
    count(&counters, 1).await;
    check(&counters, 6, 6).await;
}

#[tokio::test]
async fn a_file_that_is_damaged_or_foreign_is_not_used() {
    let folder = tempfile::tempdir().unwrap();
    let counters = in_files(&folder);
    count(&counters, 5).await;
    check(&counters, 5, 5).await;
    let file = the_file(&folder);
    let whole = fs::read(&file).unwrap();
    for at in 0..whole.len() {
        let mut damaged = whole.clone();
        damaged[at] ^= 1;
        fs::write(&file, damaged).unwrap();
        check(&counters, 5, 0).await;
        fs::write(&file, &whole[..at]).unwrap();
        check(&counters, 5, 0).await;
    }
    fs::write(&file, "a shopping list\nmilk").unwrap();
    check(&counters, 5, 0).await;
    fs::write(&file, &whole).unwrap();
    check(&counters, 5, 5).await;
}

#[tokio::test]
async fn the_snapshot_of_another_stream_is_not_used() {
    let folder = tempfile::tempdir().unwrap();
    let counters = in_files(&folder);
    count(&counters, 5).await;
    let of_first = fs::read(the_file(&folder)).unwrap();
    for _ in 0..5 {
        counters.decide(&id("2"), |_| Ok::<_, StoreError>(vec![Counted { by: 1 }])).await.unwrap();
    }
    for file in fs::read_dir(folder.path()).unwrap() {
        fs::write(file.unwrap().path(), &of_first).unwrap();
    }
    check(&counters, 5, 5).await;
    let second = counters.load(&id("2")).await.unwrap();
    assert_eq!((second.state.sum, second.snapshot), (5, Version::EMPTY));
}

#[tokio::test]
async fn streams_with_any_name_have_files() {
    let folder = tempfile::tempdir().unwrap();
    let snapshots = FileSnapshots::new(folder.path().join("made/on/the/way")).unwrap();
    for name in ["../../etc/passwd", "a/b\\c:d*", "счёт-42", &"x".repeat(StreamName::MAX_BYTES)] {
        let saved = SavedSnapshot {
            stream: name.parse().unwrap(),
            schema: 1,
            version: Version::new(3),
            position: factum::Position::new(9),
            event_id: factum::EventId::new(),
            state: "{}\n{}".into(),
        };
        snapshots.save(saved.clone()).await.unwrap();
        assert_eq!(snapshots.find(&saved.stream).await.unwrap(), Some(saved));
    }
}

/// Fails at everything, and counts how often it is asked.
#[derive(Clone, Default)]
struct Broken(Arc<AtomicU32>);

impl SnapshotStore for Broken {
    async fn find(&self, _stream: &StreamName) -> Result<Option<SavedSnapshot>, StoreError> {
        Err(StoreError::new(StoreErrorKind::Unavailable, "the disk is gone"))
    }

    async fn save(&self, _snapshot: SavedSnapshot) -> Result<(), StoreError> {
        self.0.fetch_add(1, Ordering::SeqCst);
        Err(StoreError::new(StoreErrorKind::Full, "the disk is full"))
    }
}

#[tokio::test]
async fn a_snapshot_that_cannot_be_kept_fails_no_command() {
    let broken = Broken::default();
    let counters = Log::new(MemoryStore::new()).repository::<Counter<1>>().with_snapshots(broken.clone());
    count(&counters, 4).await;
    let decided = counters.decide(&id("1"), |_| Ok::<_, StoreError>(vec![Counted { by: 10 }])).await.unwrap();
    assert_eq!(decided.version, Version::new(5));
    assert_eq!(decided.snapshot_error.unwrap().to_string(), "the disk is full");
    assert_eq!(broken.0.load(Ordering::SeqCst), 1);
    check(&counters, 5, 0).await;
}

#[test]
fn the_kit_proves_that_snapshot_and_tail_are_the_replay() {
    snapshot_equals_replay::<Counter<1>>((1..=9).map(|by| Counted { by }));
}

#[test]
fn the_kit_catches_a_state_that_is_not_kept_whole() {
    #[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
    struct Forgetful {
        sum: u64,
        #[serde(skip)]
        events: u64,
    }
    impl Aggregate for Forgetful {
        const CATEGORY: &'static str = "forgetful";
        type Id = String;
        type Event = Counted;
        fn apply(&mut self, event: &Counted) {
            self.sum += event.by;
            self.events += 1;
        }
    }
    impl Snapshot for Forgetful {
        const SCHEMA: u32 = 1;
    }
    let panic = std::panic::catch_unwind(|| snapshot_equals_replay::<Forgetful>([Counted { by: 1 }])).unwrap_err();
    let message = panic.downcast_ref::<String>().unwrap();
    assert!(message.starts_with("a snapshot after 1 events loads as another state"), "{message}");
}

fn in_files(folder: &tempfile::TempDir) -> Counters {
    let snapshots = FileSnapshots::new(folder.path()).unwrap();
    Log::new(MemoryStore::new()).repository().with_snapshots(snapshots)
}

fn the_file(folder: &tempfile::TempDir) -> PathBuf {
    fs::read_dir(folder.path()).unwrap().next().unwrap().unwrap().path()
}
