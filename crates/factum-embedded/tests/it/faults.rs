//! The disk fails, fills up or decays: nothing acknowledged is lost in silence, and each error says what to do.

use std::sync::Arc;

use factum::{
    Append, AppendError, Expected, NewEvent, Payload, Position, Query, Read, RecordedEvent, Store, StoreError, StoreErrorKind,
};
use factum_embedded::simulation::{Fault, Image, Random, SimulatedDisk};
use factum_embedded::{EmbeddedStore, Options};

/// The states at one place of a log that are looked at.
const STATES_EACH: usize = 8;

fn open(disk: &SimulatedDisk) -> Result<EmbeddedStore, StoreError> {
    Options::default().segment_bytes(16 << 10).fill_bytes(4 << 10).index_events(16).index_inline().open_on(Arc::new(disk.clone()))
}

fn opened(disk: &SimulatedDisk) -> EmbeddedStore {
    open(disk).expect("the store can be opened")
}

fn event(number: usize, bytes: usize) -> NewEvent {
    let stream = format!("account-{}", number % 5).parse().expect("a name");
    NewEvent::new(stream, "Deposited", Payload::json(Random::new(number as u64).bytes(bytes))).expect("a name")
}

/// An append of one event that is the same whenever its number is.
async fn append(store: &EmbeddedStore, number: usize, bytes: usize) -> Result<Position, AppendError> {
    store.append(Append::new(vec![event(number, bytes)])).await.map(|appended| appended.positions.through)
}

fn kind(result: Result<Position, AppendError>) -> StoreErrorKind {
    match result {
        Err(AppendError::Store(error)) => error.kind(),
        other => panic!("{other:?} is no failure of the store"),
    }
}

/// All events, page by page.
async fn read_all(store: &EmbeddedStore) -> Result<Vec<RecordedEvent>, StoreError> {
    let mut read = Read::new(Query::all());
    let mut events = Vec::new();
    loop {
        let page = store.read(read.clone()).await?;
        events.extend(page.events);
        match page.rest {
            Some(rest) => read.range = rest,
            None => return Ok(events),
        }
    }
}

/// Opens the store of a disk and reads all of it.
async fn recover(disk: &SimulatedDisk) -> Result<Vec<RecordedEvent>, StoreError> {
    let store = open(disk)?;
    let events = read_all(&store).await;
    store.close();
    events
}

/// A store of so many events, each of 100 bytes, and its disk.
async fn store_of(events: usize) -> (SimulatedDisk, EmbeddedStore) {
    let disk = SimulatedDisk::new();
    let store = opened(&disk);
    for number in 0..events {
        append(&store, number, 100).await.expect("a good disk takes every append");
    }
    (disk, store)
}

#[tokio::test]
async fn a_failed_sync_leaves_the_outcome_unknown_and_ends_all_appending() {
    let (disk, store) = store_of(10).await;
    let before = read_all(&store).await.unwrap();
    disk.inject(Fault::Sync, ".seg", 1);
    assert_eq!(kind(append(&store, 10, 100).await), StoreErrorKind::UnknownOutcome);
    assert_eq!(kind(append(&store, 11, 100).await), StoreErrorKind::Closed);
    assert_eq!(read_all(&store).await.unwrap(), before, "readers see what was published before");
    assert_eq!(store.head().await.unwrap(), Position::new(10));
    store.close();
    for state in disk.crash_states(1, STATES_EACH).starting_at(disk.operations()) {
        let recovered = recover(&state.image.disk()).await.unwrap();
        assert!(recovered.starts_with(&before) && recovered.len() <= 11, "{state:?}");
    }
}

#[tokio::test]
async fn what_is_read_after_a_failed_sync_and_an_opening_is_durable() {
    let (disk, store) = store_of(10).await;
    disk.inject(Fault::Sync, ".seg", 1);
    append(&store, 10, 3_000).await.unwrap_err();
    store.close();
    let store = opened(&disk);
    let seen = read_all(&store).await.unwrap();
    assert!(10 <= seen.len());
    for state in disk.crash_states(1, STATES_EACH).starting_at(disk.operations()) {
        assert_eq!(recover(&state.image.disk()).await.unwrap(), seen, "{state:?}");
    }
    append(&store, 11, 100).await.expect("it takes appends again");
    let seen = read_all(&store).await.unwrap();
    assert_eq!(recover(&disk.durable().disk()).await.unwrap(), seen);
}

#[tokio::test]
async fn an_append_whose_outcome_was_unknown_is_recorded_once_when_it_is_repeated() {
    for seed in 0..8 {
        let (disk, store) = store_of(3).await;
        disk.inject(Fault::Sync, ".seg", 1);
        let again = Append::new(vec![event(3, 2_000)]);
        store.append(again.clone()).await.unwrap_err();
        store.close();
        let state = disk.crash_states(seed, 3).starting_at(disk.operations()).last().expect("there is a state");
        let store = opened(&state.image.disk());
        store.append(again.clone()).await.unwrap();
        assert_eq!(read_all(&store).await.unwrap().len(), 4);
    }
}

#[tokio::test]
async fn a_failed_write_leaves_the_outcome_unknown_and_loses_nothing() {
    for fault in [Fault::Write, Fault::ShortWrite(0), Fault::ShortWrite(30), Fault::ShortWrite(700)] {
        let (disk, store) = store_of(10).await;
        let before = read_all(&store).await.unwrap();
        disk.inject(fault, ".seg", 1);
        assert_eq!(kind(append(&store, 10, 600).await), StoreErrorKind::UnknownOutcome, "{fault:?}");
        assert_eq!(kind(append(&store, 11, 600).await), StoreErrorKind::Closed, "{fault:?}");
        assert_eq!(read_all(&store).await.unwrap(), before, "{fault:?}");
        store.close();
        for image in [disk.image(), disk.durable()] {
            assert_eq!(recover(&image.disk()).await.unwrap(), before, "{fault:?}");
        }
    }
}

#[tokio::test]
async fn a_full_disk_refuses_appends_and_keeps_what_it_has_until_there_is_space() {
    for spare in (0..24).map(|n| n * 700) {
        let (disk, store) = store_of(5).await;
        disk.limit_space(Some(disk.used_space() + spare));
        let mut number = 5;
        while append(&store, number, 900).await.map_err(|error| assert_full(&error, spare)).is_ok() {
            number += 1;
            assert!(number < 200, "the disk does not fill up");
        }
        assert_full(&append(&store, number, 900).await.unwrap_err(), spare);
        assert_eq!(read_all(&store).await.unwrap().len(), number, "a refused append records nothing");
        disk.limit_space(None);
        assert_eq!(append(&store, number, 900).await.unwrap(), Position::new(number as u64 + 1), "with {spare} bytes to spare");
        let all = read_all(&store).await.unwrap();
        for state in disk.crash_states(spare, STATES_EACH).starting_at(disk.operations()) {
            assert_eq!(recover(&state.image.disk()).await.unwrap(), all, "{state:?}");
        }
    }
}

fn assert_full(error: &AppendError, spare: u64) {
    match error {
        AppendError::Store(error) => assert_eq!(error.kind(), StoreErrorKind::Full, "{error:?}, with {spare} bytes to spare"),
        error => panic!("{error:?}"),
    }
}

#[tokio::test]
async fn a_store_opens_on_a_full_disk_or_says_that_it_is_full() {
    for spare in (0..8).map(|n| n * 20) {
        let (disk, store) = store_of(30).await;
        store.close();
        disk.limit_space(Some(disk.used_space() + spare));
        match open(&disk) {
            Ok(store) => assert_eq!(read_all(&store).await.unwrap().len(), 30),
            Err(error) => assert_eq!(error.kind(), StoreErrorKind::Full, "{error:?}"),
        }
        disk.limit_space(None);
        assert_eq!(recover(&disk).await.unwrap().len(), 30);
    }
}

#[tokio::test]
async fn whichever_operation_fails_nothing_acknowledged_is_lost_and_nothing_refused_is_there() {
    for fault in [Fault::Sync, Fault::SyncNames, Fault::Write, Fault::ShortWrite(100), Fault::Read] {
        // Until the workload is over before the fault comes.
        for nth in 1..400 {
            if !fail_once(fault, nth).await {
                assert!(4 < nth, "{fault:?} can befall more than {nth} operations");
                break;
            }
        }
    }
}

/// Appends while the `nth` operation of a kind fails, then checks what the disk has, whether it keeps its power or not. Whether
/// there were that many operations.
async fn fail_once(fault: Fault, nth: u64) -> bool {
    let disk = SimulatedDisk::new();
    disk.inject(fault, "", nth);
    let (mut recorded, mut unknown) = (Vec::new(), Vec::new());
    for round in 0..3 {
        let Ok(store) = open(&disk) else { continue };
        for number in round * 30..(round + 1) * 30 {
            let new = event(number, 500);
            let append = Append::new(vec![new.clone()]);
            match store.append(append).await {
                Ok(_) => recorded.append(&mut unknown.drain(..).chain([new.id]).collect()),
                Err(AppendError::Store(error)) if error.kind() == StoreErrorKind::UnknownOutcome => unknown.push(new.id),
                Err(AppendError::Store(_)) => {}
                Err(error) => panic!("{error:?}"),
            }
        }
        // What was unknown is settled by looking.
        store.close();
        if let Ok(events) = recover(&disk).await {
            let ids: Vec<_> = events.iter().map(|event| event.id).collect();
            assert!(ids.starts_with(&recorded), "{fault:?} {nth}: acknowledged and not there");
            assert!(ids[recorded.len()..].iter().all(|id| unknown.contains(id)), "{fault:?} {nth}: refused and there");
            (recorded, unknown) = (ids, Vec::new());
        }
    }
    for image in [disk.image(), disk.durable()] {
        let events = recover(&image.disk()).await.unwrap_or_else(|error| panic!("{fault:?} {nth}: {error:?}"));
        assert_eq!(events.iter().map(|event| event.id).collect::<Vec<_>>(), recorded, "{fault:?} {nth}");
    }
    !disk.has_faults_to_come()
}

#[tokio::test]
async fn a_flipped_bit_in_what_was_durable_is_reported_and_loses_nothing_in_silence() {
    let (disk, store) = store_of(120).await;
    let all = read_all(&store).await.unwrap();
    store.close();
    let image = disk.durable();
    let mut random = Random::new(1);
    let names: Vec<_> = image.names().filter(|name| name.ends_with(".seg")).map(str::to_owned).collect();
    assert!(1 < names.len());
    let mut reported = 0;
    for _ in 0..3_000 {
        let name = random.pick(&names);
        let bit = random.below(image.file(name).unwrap().len() * 8) as u64;
        let mut damaged = image.clone();
        damaged.flip_bit(name, bit);
        // With its indexes the store trusts them until it reads; without, it reads everything to open.
        if random.once_in(2) {
            damaged.retain(|name| !name.ends_with(".idx"));
        }
        match recover(&damaged.disk()).await {
            Ok(events) => {
                assert_eq!(events.len(), all.len(), "bit {bit} of {name} was flipped and nobody said so");
                assert!(events == all, "bit {bit} of {name} was flipped and an event is not what it was");
            }
            Err(error) => {
                let is_told = matches!(error.kind(), StoreErrorKind::Corrupt | StoreErrorKind::Unsupported);
                assert!(is_told, "bit {bit} of {name}: {error:?}");
                reported += 1;
            }
        }
    }
    assert!(2_000 < reported, "only {reported} flipped bits were reported");
}

#[tokio::test]
async fn a_damaged_index_is_no_damage() {
    let (disk, store) = store_of(120).await;
    let all = read_all(&store).await.unwrap();
    store.close();
    let image = disk.durable();
    let names: Vec<_> = image.names().filter(|name| name.ends_with(".idx")).map(str::to_owned).collect();
    assert!(!names.is_empty());
    for name in names {
        for len in [0, 100, 300, image.file(&name).unwrap().len() - 1] {
            let mut damaged = image.clone();
            damaged.put(&name, &image.file(&name).unwrap()[..len]);
            assert_eq!(recover(&damaged.disk()).await.unwrap(), all, "{name} was cut off at {len}");
        }
    }
}

#[tokio::test]
async fn a_failed_read_is_reported_and_is_over_when_the_disk_reads_again() {
    let (disk, store) = store_of(40).await;
    disk.inject(Fault::Read, ".seg", 1);
    let error = read_all(&store).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Unavailable, "{error:?}");
    assert_eq!(read_all(&store).await.unwrap().len(), 40);
    append(&store, 40, 100).await.expect("a failed read ends nothing");
}

#[tokio::test]
async fn what_a_process_appends_after_another_was_killed_survives_a_power_loss() {
    let (disk, store) = store_of(120).await;
    store.close();
    for operations in 0..disk.operations() {
        let next = disk.killed_after(operations);
        let store = opened(&next);
        append(&store, 1_000, 100).await.unwrap();
        let seen = read_all(&store).await.unwrap();
        assert_eq!(recover(&next.durable().disk()).await.unwrap(), seen, "killed after {operations}: {:?}", disk.log());
    }
}

#[tokio::test]
async fn an_index_that_was_never_finished_is_in_nobodys_way() {
    let (disk, store) = store_of(120).await;
    let all = read_all(&store).await.unwrap();
    store.close();
    let mut image = disk.durable();
    image.retain(|name| !name.ends_with(".idx"));
    let rebuilt = image.disk();
    recover(&rebuilt).await.unwrap();
    for line in rebuilt.log().iter().filter_map(|line| line.strip_prefix("create ")) {
        let name = line.split(' ').next().unwrap_or_default();
        image.put(name, "not finished");
    }
    assert!(image.names().any(|name| name.ends_with(".idx.tmp")));
    let disk = image.disk();
    assert_eq!(recover(&disk).await.unwrap(), all);
    assert!(disk.image().names().all(|name| !name.ends_with(".tmp")));
}

/// An image of a closed store with several segments.
async fn segments() -> (Image, Vec<String>) {
    let (disk, store) = store_of(200).await;
    store.close();
    let image = disk.durable();
    let names: Vec<_> = image.names().filter(|name| name.ends_with(".seg")).map(str::to_owned).collect();
    assert!(2 < names.len(), "{names:?}");
    (image, names)
}

/// Checks that a store cannot be opened or read, for a reason that names a file and says what to do.
#[track_caller]
fn check_refused(result: &Result<Vec<RecordedEvent>, StoreError>, kind: StoreErrorKind, told: &[&str]) {
    match result {
        Ok(events) => panic!("{} events were read", events.len()),
        Err(error) => {
            assert_eq!(error.kind(), kind, "{error:?}");
            for part in told {
                assert!(error.to_string().contains(part), "{error} does not tell of {part:?}");
            }
        }
    }
}

#[tokio::test]
async fn a_truncated_segment_is_reported() {
    let (image, names) = segments().await;
    for name in &names {
        let bytes = image.file(name).unwrap();
        for len in [0, 1, 127, 128, 200, bytes.len() / 2, bytes.len() - 8] {
            let mut damaged = image.clone();
            damaged.put(name, &bytes[..len]);
            check_refused(&recover(&damaged.disk()).await, StoreErrorKind::Corrupt, &["restore"]);
        }
    }
}

#[tokio::test]
async fn a_missing_segment_is_reported() {
    let (image, names) = segments().await;
    for missing in &names {
        let mut damaged = image.clone();
        damaged.retain(|name| name != missing);
        check_refused(&recover(&damaged.disk()).await, StoreErrorKind::Corrupt, &["restore"]);
    }
}

#[tokio::test]
async fn a_segment_of_something_else_is_reported() {
    let (image, names) = segments().await;
    for name in &names {
        let mut damaged = image.clone();
        damaged.put(name, b"GIF89a and so on, for more than the bytes of a header: ".repeat(9));
        check_refused(&recover(&damaged.disk()).await, StoreErrorKind::Unsupported, &[name, "check the path"]);
    }
}

#[tokio::test]
async fn a_segment_of_another_log_is_reported() {
    let ((image, names), (other, _)) = (segments().await, segments().await);
    for name in &names {
        let mut damaged = image.clone();
        damaged.put(name, other.file(name).unwrap());
        check_refused(&recover(&damaged.disk()).await, StoreErrorKind::Corrupt, &["restore"]);
    }
}

#[tokio::test]
async fn a_segment_of_a_newer_format_is_reported() {
    let (image, names) = segments().await;
    for name in &names {
        let mut newer = image.file(name).unwrap().to_vec();
        newer[8..12].copy_from_slice(&99_u32.to_le_bytes());
        let mut damaged = image.clone();
        damaged.put(name, newer);
        check_refused(&recover(&damaged.disk()).await, StoreErrorKind::Unsupported, &[name, "99", "newer"]);
    }
}

#[tokio::test]
async fn a_folder_of_something_else_is_refused_and_left_alone() {
    let disk = SimulatedDisk::new();
    factum_embedded::disk::Disk::create(&disk, "holiday.jpg").unwrap();
    let before = disk.image();
    check_refused(&recover(&disk).await, StoreErrorKind::Unsupported, &["holiday.jpg", "empty folder"]);
    assert_eq!(disk.image(), before);
}

#[tokio::test]
async fn a_second_writer_is_refused_while_the_first_is_open() {
    let (disk, store) = store_of(1).await;
    assert_eq!(open(&disk).unwrap_err().kind(), StoreErrorKind::Locked);
    drop(store);
    let store = opened(&disk);
    let append = Append::new(vec![event(1, 10)]).expect("account-0".parse().unwrap(), Expected::Exists);
    store.append(append).await.unwrap();
}
