//! `factum stats`, `verify`, `backup`, `bench` and `demo`

use serde_json::json;

use crate::factum::{Folder, member};

#[test]
fn stats_count_events_and_streams_by_category() {
    let folder = Folder::new();
    for stream in ["order-1", "order-2", "order-1", "cart-1"] {
        folder.append(stream, "T", &[]);
    }
    let stats = folder.run(&["stats"]).values().remove(0);
    assert_eq!((&stats["events"], &stats["streams"], &stats["segments"]), (&json!(4), &json!(3), &json!(1)));
    assert!(0 < stats["segment_bytes"].as_u64().unwrap());
    let categories = stats["categories"].as_array().unwrap();
    assert_eq!(categories[0], json!({"category": "order", "streams": 2, "events": 3}));
    assert_eq!(member(categories, "category"), ["order", "cart"]);
}

#[test]
fn a_receipt_holds_after_more_appends_and_not_for_another_store() {
    let folder = Folder::new();
    folder.append("a", "T", &[]);
    let printed = folder.ok(&["verify"]);
    let verified: serde_json::Value = serde_json::from_str(&printed).unwrap();
    assert_eq!((&verified["events"], &verified["segments"]), (&json!(1), &json!(1)));
    let line = verified["receipt"].as_str().unwrap();
    folder.append("a", "T", &[]);
    let file = folder.file("receipt.json", &printed);
    let plain = folder.file("receipt.txt", format!("{line}\n"));
    for receipt in [line, &format!("@{file}"), &format!("@{plain}")] {
        assert_eq!(folder.run(&["verify", "--receipt", receipt]).values()[0]["events"], 2);
    }
    folder.ok(&["--dir", "other", "append", "a", "--type", "T", "--data", "{}"]);
    let other = folder.run(&["--dir", "other", "verify", "--receipt", line]);
    assert_ne!(other.code, 0);
    folder.run(&["verify", "--receipt", "nonsense"]).failed(2, &["--receipt: ", "hint: "]);
}

#[test]
fn a_backup_is_a_store_with_the_same_events() {
    let folder = Folder::new();
    for _ in 0..3 {
        folder.append("a", "T", &[]);
    }
    let copied = folder.run(&["backup", "copy"]).values().remove(0);
    assert_eq!((&copied["events"], &copied["segments"]), (&json!(3), &json!(1)));
    assert_eq!(folder.ok(&["--dir", "copy", "read"]), folder.ok(&["read"]));
    folder.ok(&["--dir", "copy", "append", "a", "--type", "T", "--data", "{}", "--expect", "3"]);
    assert_ne!(folder.run(&["backup", "copy"]).code, 0);
}

#[test]
fn a_benchmark_measures_and_leaves_the_store_alone() {
    let folder = Folder::new();
    folder.append("a", "T", &[]);
    let before = folder.ok(&["read"]);
    let load = ["--clients", "2", "--batch", "3", "--for", "1s"];
    for what in ["append", "read"] {
        let measured = folder.run(&[&["bench", what], &load[..]].concat()).values().remove(0);
        assert!(0 < measured["events"].as_u64().unwrap(), "{measured}");
        assert!(measured["p50_us"].as_u64() <= measured["p99_us"].as_u64(), "{measured}");
    }
    assert_eq!(folder.ok(&["read"]), before);
    let left: Vec<_> = std::fs::read_dir(folder.path("")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["store"]);
}

#[test]
fn the_demo_goes_on_with_its_history_and_touches_no_store_that_only_the_environment_names() {
    let folder = Folder::new();
    for _ in 0..2 {
        let demo = folder.run(&["demo"]);
        assert!(demo.stderr.contains("factum --dir factum-demo read"), "{demo:?}");
        assert!(demo.ok().contains("The log is in factum-demo."));
    }
    assert!(!folder.path("store").exists());
    let events = folder.run(&["--dir", "factum-demo", "read", "account-ann"]).values();
    assert_eq!(member(&events, "actor")[0], "demo");
    folder.ok(&["--dir", "factum-demo", "verify"]);
    folder.ok(&["demo", "--dir", "elsewhere"]);
    assert!(folder.path("elsewhere").exists());
}

#[test]
fn the_demo_says_why_it_cannot_go_on() {
    let folder = Folder::new();
    folder.ok(&["demo"]);
    let writer = factum_embedded::open(folder.path("factum-demo")).unwrap();
    let refused = folder.run(&["demo"]).failed(5, &["hint: "]);
    drop((writer, refused));
}
