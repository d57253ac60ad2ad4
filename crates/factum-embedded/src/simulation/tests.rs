//! Small logs on the simulated disk, right ones and wrong ones: it must break the wrong ones.

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;

use super::{Fault, Image, SimulatedDisk};
use crate::disk::{Disk, DiskFile};

const STATES_EACH: usize = 64;

/// A file "log" of three sectors of ones, its name and its bytes durable.
fn disk_with_log() -> (SimulatedDisk, Arc<dyn DiskFile>) {
    let disk = SimulatedDisk::new();
    let file = disk.create("log").unwrap();
    file.write_at(&[1; 3 * 512], 0).unwrap();
    file.sync().unwrap();
    disk.sync_names().unwrap();
    (disk, file)
}

/// What the crash states from a place of the log on make of it.
fn seen<T: Ord>(disk: &SimulatedDisk, from: usize, see: impl Fn(&Image) -> T) -> BTreeSet<T> {
    disk.crash_states(7, STATES_EACH).starting_at(from).map(|state| see(&state.image)).collect()
}

/// The first byte of each sector of "log".
fn sectors(image: &Image) -> Vec<u8> {
    image.file("log").unwrap().chunks(512).map(|sector| sector[0]).collect()
}

#[test]
fn what_is_synced_under_a_synced_name_survives_every_crash() {
    let (disk, file) = disk_with_log();
    let from = disk.operations();
    assert_eq!(seen(&disk, from, sectors), BTreeSet::from([vec![1, 1, 1]]));
    file.write_at(&[2; 512], 512).unwrap();
    file.sync().unwrap();
    let from = disk.operations();
    file.write_at(&[3; 512], 1024).unwrap();
    assert_eq!(seen(&disk, from, sectors), BTreeSet::from([vec![1, 2, 1], vec![1, 2, 3]]));
}

#[test]
fn unsynced_writes_are_lost_reordered_and_torn() {
    let (disk, file) = disk_with_log();
    file.write_at(&[2; 1024], 0).unwrap();
    file.write_at(&[3; 512], 1024).unwrap();
    let from = disk.operations();
    let mut all = BTreeSet::new();
    for first in [1, 2] {
        for second in [1, 2] {
            for third in [1, 3] {
                all.insert(vec![first, second, third]);
            }
        }
    }
    assert_eq!(seen(&disk, from, sectors), all);
}

#[test]
fn a_sector_is_never_torn_and_holds_what_it_held_at_some_time() {
    let (disk, file) = disk_with_log();
    file.write_at(&[2; 100], 0).unwrap();
    file.write_at(&[3; 100], 100).unwrap();
    let halves = |image: &Image| (image.file("log").unwrap()[0], image.file("log").unwrap()[100]);
    assert_eq!(seen(&disk, disk.operations(), halves), BTreeSet::from([(1, 1), (2, 1), (2, 3)]));
}

#[test]
fn a_length_lands_without_its_bytes_and_they_without_it() {
    let (disk, file) = disk_with_log();
    file.write_at(&[2; 512], 3 * 512).unwrap();
    let expected = [vec![1, 1, 1], vec![1, 1, 1, 0], vec![1, 1, 1, 2]];
    assert_eq!(seen(&disk, disk.operations(), sectors), BTreeSet::from(expected));
}

#[test]
fn a_file_that_is_cut_off_keeps_its_length_or_not() {
    let (disk, file) = disk_with_log();
    file.set_len(512).unwrap();
    let lengths = seen(&disk, disk.operations(), |image| image.file("log").unwrap().len());
    assert_eq!(lengths, BTreeSet::from([512, 3 * 512]));
    file.sync().unwrap();
    file.set_len(1024).unwrap();
    assert_eq!(seen(&disk, disk.operations(), sectors), BTreeSet::from([vec![1], vec![1, 0]]));
}

#[test]
fn a_synced_file_is_missing_until_its_name_is_synced() {
    let disk = SimulatedDisk::new();
    let file = disk.create("new").unwrap();
    file.write_at(b"event", 0).unwrap();
    file.sync().unwrap();
    let new = |image: &Image| image.file("new").map(<[u8]>::to_vec);
    assert_eq!(seen(&disk, disk.operations(), new), BTreeSet::from([None, Some(b"event".to_vec())]));
    disk.sync_names().unwrap();
    assert_eq!(seen(&disk, disk.operations(), new), BTreeSet::from([Some(b"event".to_vec())]));
}

#[test]
fn a_renamed_file_has_one_of_its_names() {
    let (disk, _file) = disk_with_log();
    disk.rename("log", "old").unwrap();
    disk.rename("old", "older").unwrap();
    let names = |image: &Image| image.names().map(str::to_owned).collect::<Vec<_>>();
    let expected = ["log", "old", "older"].map(|name| vec![name.to_owned()]);
    assert_eq!(seen(&disk, disk.operations(), names), BTreeSet::from(expected));
}

#[test]
fn removals_and_creations_land_in_any_order() {
    let (disk, _file) = disk_with_log();
    disk.remove("log").unwrap();
    disk.create("next").unwrap();
    let names = |image: &Image| image.names().map(str::to_owned).collect::<Vec<_>>().join(" ");
    let expected = ["", "log", "next", "log next"].map(str::to_owned);
    assert_eq!(seen(&disk, disk.operations(), names), BTreeSet::from(expected));
}

#[test]
fn after_a_failed_sync_the_bytes_look_durable_and_are_not() {
    let (disk, file) = disk_with_log();
    file.write_at(&[2; 512], 0).unwrap();
    disk.inject(Fault::Sync, "log", 1);
    assert_eq!(file.sync().unwrap_err().raw_os_error(), Some(5));
    let mut read = [0; 512];
    file.read_at(&mut read, 0).unwrap();
    assert_eq!(read, [2; 512]);
    file.sync().unwrap();
    assert_eq!(seen(&disk, disk.operations(), sectors), BTreeSet::from([vec![1, 1, 1], vec![2, 1, 1]]));
    // Written again, they are synced again.
    file.write_at(&[2; 512], 0).unwrap();
    file.sync().unwrap();
    assert_eq!(seen(&disk, disk.operations(), sectors), BTreeSet::from([vec![2, 1, 1]]));
}

#[test]
fn a_length_that_a_failed_sync_lost_comes_back_with_its_bytes() {
    let (disk, file) = disk_with_log();
    file.write_at(&[2; 512], 3 * 512).unwrap();
    disk.inject(Fault::Sync, "", 1);
    file.sync().unwrap_err();
    file.sync().unwrap();
    assert!(seen(&disk, disk.operations(), sectors).contains(&vec![1, 1, 1]));
    file.write_at(&[3; 512], 3 * 512).unwrap();
    file.sync().unwrap();
    assert_eq!(seen(&disk, disk.operations(), sectors), BTreeSet::from([vec![1, 1, 1, 3]]));
}

#[test]
fn a_full_disk_takes_what_fits_and_the_rest_when_there_is_space() {
    let (disk, file) = disk_with_log();
    disk.limit_space(Some(disk.used_space() + 10));
    assert_eq!(file.write_at(&[2; 12], 3 * 512).unwrap_err().kind(), io::ErrorKind::StorageFull);
    assert_eq!(file.len().unwrap(), 3 * 512 + 10);
    assert_eq!(file.set_len(4 * 512).unwrap_err().kind(), io::ErrorKind::StorageFull);
    file.write_at(&[3; 512], 0).expect("what is there can be written over");
    disk.limit_space(None);
    file.write_at(&[2; 12], 3 * 512).unwrap();
    assert_eq!(file.len().unwrap(), 3 * 512 + 12);
}

#[test]
fn the_nth_write_or_read_of_a_file_fails() {
    let (disk, file) = disk_with_log();
    let other = disk.create("other").unwrap();
    disk.inject(Fault::Write, "log", 2);
    disk.inject(Fault::ShortWrite(600), "log", 3);
    disk.inject(Fault::Read, "log", 1);
    file.write_at(&[2; 1], 0).unwrap();
    other.write_at(&[2; 1], 0).unwrap();
    file.write_at(&[3; 512], 0).unwrap_err();
    file.write_at(&[4; 1024], 512).unwrap_err();
    file.read_at(&mut [0], 0).unwrap_err();
    let mut read = [0; 1536];
    file.read_at(&mut read, 0).unwrap();
    assert_eq!((read[0], read[1], read[512], read[512 + 600]), (2, 1, 4, 1));
}

#[test]
fn a_failed_sync_of_names_is_made_up_for_by_the_next() {
    let disk = SimulatedDisk::new();
    disk.create("new").unwrap();
    disk.inject(Fault::SyncNames, "", 1);
    disk.sync_names().unwrap_err();
    assert_eq!(disk.durable().names().count(), 0);
    disk.sync_names().unwrap();
    assert_eq!(disk.durable().names().collect::<Vec<_>>(), ["new"]);
}

#[test]
fn a_lying_disk_syncs_nothing() {
    let (disk, file) = disk_with_log();
    disk.lie_about_syncs();
    file.write_at(&[2; 512], 0).unwrap();
    file.sync().unwrap();
    disk.lie_about_name_syncs();
    disk.create("new").unwrap();
    disk.sync_names().unwrap();
    let durable = disk.durable();
    assert_eq!((sectors(&durable), durable.file("new")), (vec![1, 1, 1], None));
}

#[test]
fn one_writer_at_a_time_has_the_lock() {
    let disk = SimulatedDisk::new();
    let lock = disk.lock().unwrap();
    assert_eq!(disk.lock().err().map(|refused| refused.kind()), Some(io::ErrorKind::WouldBlock));
    drop(lock);
    disk.lock().unwrap();
}

#[test]
fn a_held_sync_is_let_go_when_the_hold_is_dropped() {
    let (disk, file) = disk_with_log();
    let before = disk.operations();
    let held = disk.hold_syncs("log");
    let syncing = std::thread::spawn(move || file.sync());
    held.wait();
    assert_eq!(disk.operations(), before);
    drop(held);
    syncing.join().unwrap().unwrap();
    assert_eq!(disk.operations(), before + 1);
}

#[test]
fn a_killed_process_leaves_what_was_written_to_be_seen_and_to_be_lost() {
    let (disk, file) = disk_with_log();
    let synced = disk.operations();
    file.write_at(&[2; 512], 0).unwrap();
    disk.rename("log", "old").unwrap();
    let next = disk.killed_after(synced + 1);
    assert_eq!(sectors(&next.image()), [2, 1, 1]);
    assert_eq!(sectors(&next.durable()), [1, 1, 1]);
    assert_eq!(disk.killed_after(disk.operations()).image(), disk.image());
}

#[test]
fn one_seed_gives_the_same_states_and_another_others() {
    let (disk, file) = disk_with_log();
    for byte in 2..9 {
        file.write_at(&[byte; 1300], 100 * u64::from(byte)).unwrap();
    }
    let digests = |seed| disk.crash_states(seed, 9).map(|state| state.image.digest()).collect::<Vec<_>>();
    assert_eq!(digests(1), digests(1));
    assert_ne!(digests(1), digests(2));
}

/// Records of a length byte, so many bytes of that value, and perhaps a checksum of them.
struct ToyLog {
    file: Arc<dyn DiskFile>,
    checked: bool,
    synced: bool,
}

impl ToyLog {
    fn create(disk: &SimulatedDisk, checked: bool, synced: bool) -> Self {
        let file = disk.create("log").unwrap();
        disk.sync_names().unwrap();
        Self { file, checked, synced }
    }

    fn append(&self, length: u8) {
        let mut record = vec![length; usize::from(length) + 1];
        if self.checked {
            record.extend(checksum(&record));
        }
        self.file.write_at(&record, self.file.len().unwrap()).unwrap();
        if self.synced {
            self.file.sync().unwrap();
        }
    }

    /// The records of a log, until the first that is not whole.
    fn recover(image: &Image, checked: bool) -> Vec<Vec<u8>> {
        let mut rest = image.file("log").unwrap_or_default();
        let mut records = Vec::new();
        while let [length, ..] = rest {
            let end = usize::from(*length) + 1;
            let with_checksum = end + if checked { 8 } else { 0 };
            if *length == 0 || rest.len() < with_checksum || checked && checksum(&rest[..end]) != rest[end..end + 8] {
                break;
            }
            records.push(rest[1..end].to_vec());
            rest = &rest[with_checksum..];
        }
        records
    }
}

fn checksum(bytes: &[u8]) -> [u8; 8] {
    xxhash_rust::xxh3::xxh3_64(bytes).to_le_bytes()
}

/// What a toy log's crash states show of it: whether an acknowledged record was lost, and whether one came back in pieces.
fn toy_troubles(checked: bool, synced: bool) -> (bool, bool) {
    let disk = SimulatedDisk::new();
    let log = ToyLog::create(&disk, checked, synced);
    let records: Vec<u8> = (100..150).collect();
    let acknowledged: Vec<usize> = records
        .iter()
        .map(|&record| {
            log.append(record);
            disk.operations()
        })
        .collect();
    let (mut lost, mut torn) = (false, false);
    for state in disk.crash_states(3, STATES_EACH) {
        let recovered = ToyLog::recover(&state.image, checked);
        let must = acknowledged.iter().filter(|&&operations| operations <= state.operations).count();
        lost |= recovered.len() < must;
        torn |= recovered.iter().zip(&records).any(|(bytes, &record)| *bytes != vec![record; usize::from(record)]);
    }
    (lost, torn)
}

#[test]
fn a_log_with_checksums_that_syncs_has_no_trouble() {
    assert_eq!(toy_troubles(true, true), (false, false));
}

#[test]
fn a_log_that_does_not_sync_loses_what_it_acknowledged() {
    assert_eq!(toy_troubles(true, false), (true, false));
}

#[test]
fn a_log_without_checksums_brings_back_pieces() {
    assert_eq!(toy_troubles(false, true), (false, true));
}
