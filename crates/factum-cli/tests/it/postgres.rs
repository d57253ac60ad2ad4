//! The same commands on a database, many logs in it, and copies from one place to another.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use factum::{Append, Position, Store};
use factum_postgres::testing::Server;
use serde_json::Value;

use crate::factum::{Folder, member, values};

/// A database of a test's own.
fn database() -> String {
    static MADE: AtomicU32 = AtomicU32::new(0);
    let name = format!("cli-{}", MADE.fetch_add(1, Ordering::Relaxed));
    tokio::runtime::Runtime::new().unwrap().block_on(Server::shared().create_database(&name))
}

#[test]
fn what_works_on_a_folder_works_on_a_database() {
    let (folder, url) = (Folder::new(), database());
    let on = |arguments: &[&str]| folder.run(&[&["--store", &url], arguments].concat());
    on(&["read"]).failed(4, &["there is no store in this database: run `factum migrate`"]);
    let elsewhere = url.replace("/cli-", "/nowhere-");
    let nowhere = folder.run(&["--store", &elsewhere, "read"]).failed(4, &["there is no such database: create it"]);
    assert_eq!(nowhere.stderr.matches("does not exist").count(), 1, "{nowhere:?}");
    assert!(!nowhere.stderr.contains("--dir"), "{nowhere:?}");
    let migrated = on(&["migrate"]).values();
    assert_eq!(migrated, on(&["migrate"]).values().iter().map(|same| with(same, "from", 0)).collect::<Vec<_>>());
    on(&["read"]).failed(4, &["there is no log main"]);
    let first = on(&["append", "account-1", "--type", "Opened", "--data", r#"{"owner":"ann"}"#, "--expect", "none"]).values();
    on(&["append", "account-1", "--type", "Opened", "--data", "{}", "--expect", "none"]).failed(3, &["account-1"]);
    on(&["append", "account-1", "--type", "Renamed", "--data", r#"{"owner":"bob"}"#, "--tag", "owner:bob"]).ok();
    assert_eq!(member(&on(&["read", "account-1"]).values(), "type"), ["Opened", "Renamed"]);
    assert_eq!(member(&on(&["read", "--tag", "owner:bob"]).values(), "subject"), ["account-1"]);
    assert_eq!(member(&on(&["stream", "ls"]).values(), "version"), [2]);
    assert!(on(&["state", "account-1", "--at", "1"]).ok().contains("ann"));
    assert_eq!(member(&on(&["trace", first[0]["id"].as_str().unwrap()]).values(), "type"), ["Opened"]);
    assert_eq!(member(&on(&["stats"]).values(), "events"), [2]);
    let verified = on(&["verify"]).values().remove(0);
    assert_eq!((&verified["events"], &verified["streams"]), (&2.into(), &1.into()));
    on(&["verify", "--receipt", "@receipt"]).failed(2, &["is for a store in a folder", "factum backup"]);
    folder.run(&["--store", "here", "read"]).failed(2, &["no URL"]);
    folder.run(&["--store", &url, "--dir", "here", "read"]).failed(2, &["two stores"]);
}

#[test]
fn a_database_is_backed_up_to_a_folder_measured_and_has_a_demo() {
    let (folder, url) = (Folder::new(), database());
    let on = |arguments: &[&str]| folder.run(&[&["--store", &url], arguments].concat());
    for events in [7, 12] {
        let demo = on(&["demo"]);
        assert!(demo.stderr.contains("factum --store URL --log main read"), "{demo:?}");
        assert!(demo.ok().contains("An event of schema 1 is read as"));
        let copied = on(&["backup", "copy"]).values().remove(0);
        assert_eq!(copied["events"], events);
        assert_eq!(folder.ok(&["--dir", "copy", "export"]), on(&["export"]).ok());
    }
    let load = ["--clients", "2", "--batch", "3", "--for", "1s"];
    for what in ["append", "read"] {
        let measured = on(&[&["bench", what], &load[..]].concat()).values().remove(0);
        assert!(0 < measured["events"].as_u64().unwrap(), "{measured}");
    }
    assert_eq!(member(&on(&["log", "ls"]).values(), "log"), ["main"]);
    assert_eq!(on(&["verify"]).values()[0]["events"], 12);
    folder.ok(&["--dir", "copy", "append", "account-ann", "--type", "Other", "--data", "{}"]);
    on(&["backup", "copy"]).failed(3, &["has 13 events already, and they are not those of the source"]);
}

fn with(value: &Value, name: &str, number: i64) -> Value {
    let mut value = value.clone();
    value[name] = number.into();
    value
}

#[test]
fn logs_are_created_listed_and_dropped_and_do_not_see_each_other() {
    let (folder, url) = (Folder::new(), database());
    folder.ok(&["--store", &url, "migrate"]);
    let dir = folder.path("many");
    for place in [["--store", &url], ["--dir", dir.to_str().unwrap()]] {
        let on = |arguments: &[&str]| folder.run(&[&place[..], arguments].concat());
        on(&["log", "create", "north"]).ok();
        on(&["log", "create", "south"]).ok();
        on(&["log", "create", "south"]).failed(3, &["there is a log south already"]);
        on(&["log", "create", "no/name"]).failed(2, &["names no log"]);
        for (log, count) in [("north", 1), ("south", 2)] {
            for _ in 0..count {
                on(&["--log", log, "append", "account-1", "--type", "Opened", "--data", "{}"]).ok();
            }
        }
        assert_eq!(member(&on(&["--log", "south", "read", "account-1"]).values(), "id").len(), 2);
        assert_eq!(member(&on(&["log", "ls"]).values(), "log"), ["north", "south"]);
        on(&["log", "drop", "south"]).failed(2, &["gone for good"]);
        on(&["log", "drop", "south", "--yes"]).ok();
        on(&["log", "drop", "south", "--yes"]).failed(4, &["no log south"]);
        assert_eq!(member(&on(&["log", "ls"]).values(), "log"), ["north"]);
        assert_eq!(on(&["--log", "north", "read"]).values().len(), 1);
        on(&["--log", "south", "read"]).failed(4, &["there is no"]);
    }
}

#[test]
fn a_name_of_a_log_never_leads_out_of_the_logs_of_its_folder() {
    let folder = Folder::new();
    let dir = folder.path("store").to_str().unwrap().to_owned();
    let on = |arguments: &[&str]| folder.run(&[&["--dir", &dir], arguments].concat());
    let append = ["append", "account-1", "--type", "Opened", "--data", "{}"];
    on(&append).ok();
    on(&["log", "create", "north"]).ok();
    for name in ["..", ".", "../../store", "/etc"] {
        on(&["log", "drop", name, "--yes"]).failed(2, &["names no log"]);
        on(&["log", "create", name]).failed(2, &["names no log"]);
        on(&[&["--log", name], &append[..]].concat()).failed(2, &["names no log"]);
        on(&["copy", "--from", &dir, "--to", &dir, "--to-log", name]).failed(2, &["names no log"]);
    }
    assert_eq!(on(&["read"]).values().len(), 1);
    // Whichever log is meant otherwise, the command is about all of them.
    on(&["--log", "north", "log", "create", "south"]).ok();
    assert_eq!(member(&on(&["--log", "south", "log", "ls"]).values(), "log"), ["main", "north", "south"]);
    on(&["copy", "--from", &dir, "--to", "mysql://user@host/shop"]).failed(2, &["neither a database of PostgreSQL nor a folder"]);
    assert!(!folder.path("mysql:").exists());
}

#[test]
fn what_cannot_be_archived_is_said_and_read_models_are_looked_for_in_the_database() {
    let (folder, url) = (Folder::new(), database());
    let on = |arguments: &[&str]| folder.run(&[&["--store", &url], arguments].concat());
    on(&["append", "account-1", "--type", "Opened", "--data", "{}"]).ok();
    on(&["log", "archive"]).failed(2, &["the log main is still in it"]);
    on(&["log", "attach"]).failed(2, &["nothing is archived"]);
    folder.run(&["log", "archive"]).failed(2, &["a folder has no partitions"]);
    assert_eq!(on(&["projection", "ls"]).values().len(), 0);
    on(&["projection", "show", "balances"]).failed(4, &["there is no projection balances"]);
    folder.run(&["projection", "ls", "--read-db", &url]).ok();
}

#[test]
fn a_copy_has_the_positions_ids_and_times_and_goes_on_where_it_was() {
    let (folder, url) = (Folder::new(), database());
    let csv = folder.file("orders.csv", rows(2_000));
    let arguments = ["import", &csv, "--stream", "order", "--category", "order", "--type", "activity", "--time", "at"];
    folder.ok(&[&arguments[..], &["--tag", "activity", "--batch", "7"]].concat());
    let store = folder.path("store").to_str().unwrap().to_owned();
    let copied = folder.run(&["copy", "--from", &store, "--to", &url]).values();
    assert_eq!((&copied[0]["copied"], &copied[0]["verified"]), (&2_000.into(), &true.into()));
    folder.append("order-1", "Late", &[]);
    let again = folder.run(&["copy", "--from", &store, "--to", &url]).values();
    assert_eq!((&again[0]["copied"], &again[0]["copied_before"]), (&1.into(), &2_000.into()));
    let back = folder.path("back").to_str().unwrap().to_owned();
    folder.ok(&["copy", "--from", &url, "--to", &back]);
    let export = |place: [&str; 2]| folder.ok(&[&place[..], &["export", "--format", "ndjson"]].concat());
    let original = export(["--dir", &store]);
    assert_eq!(values(&original).len(), 2_001);
    for copy in [["--store", &url], ["--dir", &back]] {
        assert!(export(copy) == original, "{copy:?}");
    }
    // Another store is no copy of it.
    folder.append("order-2", "Late", &[]);
    folder.ok(&["--dir", &back, "append", "order-2", "--type", "Other", "--data", "{}"]);
    folder.run(&["copy", "--from", &store, "--to", &back]).failed(3, &["they are not those of the source"]);
}

#[test]
fn a_killed_copy_goes_on_and_takes_the_marks_of_its_own_log_alone() {
    let (folder, url) = (Folder::new(), database());
    let on = |log: &str, arguments: &[&str]| folder.run(&[&["--store", &url, "--log", log], arguments].concat());
    let csv = folder.file("orders.csv", rows(2_000));
    let import =
        ["import", &csv, "--stream", "order", "--category", "order", "--type", "activity", "--time", "at", "--batch", "2"];
    on("north", &import).ok();
    on("south", &["append", "order-1", "--type", "Other", "--data", "{}"]).ok();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let open = |log: &str| runtime.block_on(factum_postgres::Options::default().log(log).open(&url)).unwrap();
    for (log, consumer, through) in [("north", "mailer", 7), ("south", "mailer", 3), ("south", "printer", 1)] {
        let mark = Append::default().consumed(consumer.parse().unwrap(), Position::new(through));
        runtime.block_on(open(log).append(mark)).unwrap();
    }

    let copy = ["copy", "--from", &url, "--from-log", "north", "--to", &url, "--to-log", "east"];
    let (east, mut killed) = (open("east"), folder.start(&copy));
    while runtime.block_on(east.head()).unwrap() == Position::START {
        assert!(killed.try_wait().unwrap().is_none(), "it ended before anything was copied");
        std::thread::sleep(Duration::from_millis(1));
    }
    killed.kill().unwrap();
    killed.wait().unwrap();
    let before = runtime.block_on(east.head()).unwrap();
    assert!(before < Position::new(2_000), "it was killed too late");

    let copied = folder.run(&copy).values().remove(0);
    assert!(before.get() <= copied["copied_before"].as_u64().unwrap(), "{copied}");
    assert_eq!((&copied["events"], &copied["consumers"]), (&2_000.into(), &1.into()));
    assert!(on("east", &["export"]).ok() == on("north", &["export"]).ok());
    assert_eq!(runtime.block_on(east.consumers()).unwrap(), [("mailer".parse().unwrap(), Position::new(7))]);
    assert_eq!(member(&on("south", &["read"]).values(), "type"), ["Other"]);
}

/// A table with so many rows.
fn rows(count: u32) -> String {
    let row = |n: u32| format!("{},Step {},2024-01-{:02}T00:00:{:02}Z\n", n % 300, n % 9, 1 + n % 28, n % 60);
    let rows: String = (0..count).map(row).collect();
    format!("order,activity,at\n{rows}")
}
