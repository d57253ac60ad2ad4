//! Stores that cannot be used, and what the user is told.

use std::fs;
use std::path::PathBuf;

use crate::factum::{Folder, contents, member, values};

/// Every command that reads.
const READERS: [&[&str]; 7] =
    [&["read"], &["stream", "ls"], &["stream", "show", "a"], &["trace", "a"], &["stats"], &["export"], &["verify"]];

const APPEND: [&str; 6] = ["append", "a", "--type", "T", "--data", "{}"];

#[test]
fn where_there_is_no_store_a_reader_says_how_to_create_one() {
    let folder = Folder::new();
    for command in READERS {
        folder.run(command).failed(4, &["there is no store in ", "hint: name the store's folder with --dir", "append STREAM"]);
    }
    folder.run(&["backup", "copy"]).failed(4, &["hint: "]);
    assert_eq!(fs::read_dir(folder.path("")).unwrap().count(), 0);
}

#[test]
fn a_second_writer_is_unavailable_and_readers_go_on() {
    let folder = Folder::new();
    folder.append("a", "T", &[]);
    let writer = factum_embedded::open(folder.path("store")).unwrap();
    folder.run(&APPEND).failed(5, &["hint: commands that read work beside a writer"]);
    folder.feed(&["import", "-"], crate::append::line("1", "a", "T")).failed(5, &["hint: "]);
    assert_eq!(folder.run(&["read"]).values().len(), 1);
    drop(writer);
    folder.run(&APPEND).ok();
}

/// The file with the events.
fn segment(folder: &Folder) -> PathBuf {
    let mut files = contents(&folder.path("store")).into_iter().map(|(path, _)| path);
    files.find(|path| path.extension().is_some_and(|extension| extension == "seg")).unwrap()
}

/// Changes the file with the events, and checks that these commands are refused and leave it as it is.
#[track_caller]
fn check_damaged(damage: impl Fn(&mut Vec<u8>), commands: &[&[&str]], hint: &str) {
    let folder = Folder::new();
    folder.append("a", "Unmistakable", &[]);
    folder.append("a", "T", &[]);
    let path = segment(&folder);
    let mut bytes = fs::read(&path).unwrap();
    damage(&mut bytes);
    fs::write(&path, &bytes).unwrap();
    for command in commands {
        folder.run(command).failed(1, &[hint]);
    }
    assert_eq!(fs::read(&path).unwrap(), bytes);
}

#[test]
fn a_flipped_bit_is_told_with_advice() {
    let flip = |bytes: &mut Vec<u8>| {
        let at = bytes.windows(12).position(|window| window == b"Unmistakable").unwrap();
        bytes[at] ^= 1;
    };
    check_damaged(flip, &[&["verify"], &["read"], &["export"]], "hint: append nothing to this store, and open a backup");
}

#[test]
fn a_truncated_store_is_told_with_advice() {
    let cut = |bytes: &mut Vec<u8>| bytes.truncate(100);
    check_damaged(cut, &[&["verify"], &["read"], &APPEND], "hint: ");
}

#[test]
fn a_foreign_file_in_place_of_the_events_is_refused_with_advice() {
    let letter = |bytes: &mut Vec<u8>| *bytes = b"a letter to the editor ".repeat(100);
    check_damaged(letter, &[&["verify"], &["read"], &APPEND], "hint: ");
}

#[test]
fn a_store_of_a_newer_version_is_refused_with_advice() {
    // The format's version stands after the eight bytes that every segment begins with.
    let newer = |bytes: &mut Vec<u8>| bytes[8..12].copy_from_slice(&99_u32.to_le_bytes());
    check_damaged(newer, &[&["verify"], &["read"], &APPEND], "hint: use the program that wrote this store");
}

#[test]
fn a_file_in_place_of_the_folder_is_refused() {
    let folder = Folder::new();
    folder.file("store", "a letter");
    for command in [&["read"][..], &["verify"], &APPEND] {
        folder.run(command).failed(1, &["store is a file: name a store's folder with --dir"]);
    }
    assert_eq!(fs::read_to_string(folder.path("store")).unwrap(), "a letter");
}

#[test]
#[cfg(target_os = "linux")]
fn a_folder_that_cannot_be_written_to_is_refused() {
    let folder = Folder::new();
    // Not even the superuser can make a folder there.
    let append = [&["--dir", "/sys/factum"], &APPEND[..]].concat();
    folder.run(&append).failed(1, &["cannot create /sys/factum", "hint: let this user write"]);
}

#[test]
fn a_name_that_is_too_long_is_refused_with_its_limit() {
    let folder = Folder::new();
    let long = "x".repeat(1_025);
    let line = crate::append::line("1", &long, "T");
    folder.feed(&["append"], line).failed(1, &["a stream name has 1025 bytes, more than the 1024 allowed: shorten it"]);
    let file = folder.file("t.csv", format!("s,t\n{long},T\n"));
    folder.run(&["import", &file, "--stream", "s", "--type", "t"]).failed(1, &["line 2: a stream name has 1025 bytes"]);
    let ended = folder.run(&["append", &long, "--type", "T", "--data", "{}"]);
    assert!(ended.code == 2 && ended.stderr.contains("1024 allowed"), "{ended:?}");
}

#[test]
fn data_over_the_limit_is_refused_and_data_at_the_limit_is_not() {
    let folder = Folder::new();
    let data = |bytes: usize| format!("\"{}\"", "x".repeat(bytes - 2));
    let append = |bytes| folder.feed(&["append", "a", "--type", "T", "--data", "-"], data(bytes));
    append((16 << 20) + 1).failed(1, &["nothing was recorded: bytes of data in an event"]);
    append(16 << 20).ok();
    let lines = folder.ok(&["read"]);
    folder.feed(&["--dir", "copy", "append"], &lines).ok();
    let copy = folder.run(&["--dir", "copy", "export"]).values();
    assert!(member(&copy, "data") == member(&values(&lines), "data"));
}
