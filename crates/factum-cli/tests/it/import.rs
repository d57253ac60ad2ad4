//! `factum import`

use std::io::{BufReader, Write};

use serde_json::json;

use crate::factum::{Ended, Folder, member, next_line};

const CSV: [&str; 10] = ["--stream", "case", "--type", "activity", "--time", "at", "--actor", "who", "--tag", "kind=case kind"];

/// A file of cases: `rows` events in a third as many streams.
pub(crate) fn cases(rows: u32) -> String {
    let mut file = String::from("activity,case,at,who,case kind,note\n");
    for row in 0..rows {
        let case = row / 3;
        file += &format!(
            "Step {},case-{case},2011-10-11 13:45:40.{row:06}+02:00,R{},Internet,\"a, \"\"{row}\"\"\"\n",
            row % 3,
            row % 7
        );
    }
    file
}

fn import(folder: &Folder, file: &str, more: &[&str]) -> Ended {
    folder.run(&[&["import", file], &CSV[..], more].concat())
}

#[track_caller]
fn check(imported: Ended, events: u32, recorded: u32, head: u32) {
    let expected = json!({"events": events, "recorded": recorded, "recorded_before": events - recorded, "head": head});
    assert_eq!(imported.values(), [expected]);
}

#[test]
fn the_columns_of_a_csv_file_become_events() {
    let folder = Folder::new();
    let file = folder.file("cases.csv", cases(1_500));
    check(import(&folder, &file, &[]), 1_500, 1_500, 1_500);
    let event = folder.run(&["read", "case-7", "--after", "1", "--limit", "1"]).values().remove(0);
    assert_eq!((&event["type"], &event["actor"]), (&json!("Step 1"), &json!("R1")));
    assert_eq!((&event["time"], &event["tags"]), (&json!("2011-10-11T11:45:40.000022Z"), &json!("[\"kind:Internet\"]")));
    let data =
        r#"{"activity":"Step 1","case":"case-7","at":"2011-10-11 13:45:40.000022+02:00","who":"R1","case kind":"Internet","#;
    assert!(folder.ok(&["read", "case-7"]).contains(&format!("\"data\":{data}{}", r#""note":"a, \"22\""}"#)));
    assert_eq!(folder.run(&["stream", "ls"]).values().len(), 500);
    assert_eq!(member(&folder.run(&["read", "case-7"]).values(), "type"), ["Step 0", "Step 1", "Step 2"]);
}

#[test]
fn a_category_is_put_before_the_stream() {
    let folder = Folder::new();
    let file = folder.file("cases.CSV", "id,what\n7,T\n");
    folder.ok(&["import", &file, "--stream", "id", "--type", "what", "--category", "order"]);
    assert_eq!(folder.run(&["stream", "ls"]).values()[0]["stream"], "order-7");
}

#[test]
fn an_import_run_again_records_nothing_twice() {
    let folder = Folder::new();
    let file = folder.file("cases.csv", cases(1_234));
    check(import(&folder, &file, &[]), 1_234, 1_234, 1_234);
    folder.append("other", "T", &[]);
    check(import(&folder, &file, &[]), 1_234, 0, 1_235);
    for batch in ["1", "7", "300", "1000", "10000"] {
        check(import(&folder, &file, &["--batch", batch]), 1_234, 0, 1_235);
    }
    let name = ["--source", "another", "--category", "copy"];
    check(import(&folder, &file, &name), 1_234, 1_234, 2_469);
}

#[test]
fn an_import_goes_on_where_another_with_other_batches_ended() {
    let folder = Folder::new();
    let file = folder.file("cases.csv", cases(500));
    import(&folder, &file, &["--batch", "333"]).ok();
    let more = folder.file("cases.csv", cases(2_000));
    check(import(&folder, &more, &["--batch", "450"]), 2_000, 1_500, 2_000);
    let types = member(&folder.run(&["read", "case-200"]).values(), "type");
    assert_eq!(types, ["Step 0", "Step 1", "Step 2"]);
}

#[test]
fn a_killed_import_run_again_ends_with_every_row_once() {
    let folder = Folder::new();
    let rows = cases(3_000);
    let arguments = [&["-v", "import", "-", "--csv", "--source", "cases"], &CSV[..]].concat();
    let mut child = folder.start(&arguments);
    let mut input = child.stdin.take().unwrap();
    let mut errors = BufReader::new(child.stderr.take().unwrap());
    // More than two batches, of which the first two are recorded before the kill.
    let half: String = rows.split_inclusive('\n').take(1_301).collect();
    input.write_all(half.as_bytes()).unwrap();
    input.flush().unwrap();
    while next_line(&mut errors) != "events imported: 1000\n" {}
    child.kill().unwrap();
    child.wait().unwrap();
    check(folder.feed(&arguments, &rows), 3_000, 2_000, 3_000);
    assert_eq!(folder.run(&["stream", "ls"]).values().len(), 1_000);
    assert_eq!(folder.feed(&["export", "--format", "csv"], "").ok(), rows);
}

#[test]
fn a_wrong_row_is_named_and_its_batch_not_recorded_and_the_mended_file_goes_on() {
    let folder = Folder::new();
    let good = cases(1_200);
    for (wrong, said) in [
        ("too,few", "the row has 2 columns, and the header has 6"),
        ("T,case-1,yesterday,,,", "\"yesterday\" is no point in time"),
        ("T,case-1,2011-10-11 13:45:40,,,", "--time-zone utc"),
        (",case-1,,,,", "an event type is empty"),
        ("T,,,,,", "a stream name is empty"),
    ] {
        let mut lines: Vec<&str> = good.lines().collect();
        lines.insert(701, wrong);
        let file = folder.file("cases.csv", lines.join("\n"));
        let ended = import(&folder, &file, &[]).failed(1, &["cases.csv, line 702: ", said, "hint: "]);
        assert!(ended.stderr.contains("500 events before it are recorded"), "{ended:?}");
    }
    assert_eq!(folder.run(&["stats"]).values()[0]["events"], 500);
    let file = folder.file("cases.csv", &good);
    check(import(&folder, &file, &[]), 1_200, 700, 1_200);
}

#[test]
fn a_time_zone_is_for_times_that_name_none() {
    let folder = Folder::new();
    let file = folder.file("t.csv", "s,t\na,2011-10-11 13:45:40\nb,2011-10-11T13:45:40+01:00\nc,\n");
    folder.ok(&["import", &file, "--stream", "s", "--type", "s", "--time", "t", "--time-zone", "+02:00"]);
    let events = folder.run(&["read"]).values();
    assert_eq!(member(&events[..2], "time"), ["2011-10-11T11:45:40Z", "2011-10-11T12:45:40Z"]);
    assert_eq!(events[2]["time"], events[2]["recordedtime"]);
}

#[test]
fn columns_that_are_missing_or_wrong_are_told_with_those_that_are_there() {
    let folder = Folder::new();
    let file = folder.file("t.csv", "s,a:b,s=t\n1,2,3\n");
    let import = |more: &[&str]| folder.run(&[&["import", &file], more].concat());
    import(&[]).failed(2, &["a CSV file needs --stream COLUMN", "the columns are s, a:b, s=t"]);
    import(&["--stream", "s"]).failed(2, &["needs --type"]);
    import(&["--stream", "x", "--type", "s"]).failed(2, &["there is no column \"x\" for --stream", "the columns are"]);
    import(&["--stream", "s", "--type", "s", "--tag", "a:b"]).failed(2, &["no key of a tag", "--tag KEY=a:b"]);
    assert!(!folder.path("store").exists());
    import(&["--stream", "s", "--type", "s", "--tag", "k=a:b", "--tag", "s=t"]).ok();
    assert_eq!(folder.run(&["read"]).values()[0]["tags"], r#"["k:2","s=t:3"]"#);
    let twice = folder.file("twice.csv", "s,s\n1,2\n");
    folder.run(&["import", &twice, "--stream", "s", "--type", "s"]).failed(1, &["\"s\" stands twice"]);
    let lines = folder.file("t.ndjson", "");
    folder.run(&["import", &lines, "--stream", "s"]).failed(2, &["read as CloudEvents", "--csv"]);
    folder.run(&["import", "nowhere.csv"]).failed(4, &["nowhere.csv"]);
    folder.run(&["import", folder.path("").to_str().unwrap()]).failed(1, &["is a folder"]);
}

#[test]
fn cloud_events_are_imported_in_batches_and_only_once() {
    let folder = Folder::new();
    let lines: String = (0..1_100).map(|id| crate::append::line(&id.to_string(), "a", "T")).collect();
    check(folder.feed(&["import", "-"], &lines), 1_100, 1_100, 1_100);
    let file = folder.file("events.ndjson", &lines);
    check(folder.run(&["import", &file, "--batch", "70"]), 1_100, 0, 1_100);
    let wrong = folder.file("wrong.ndjson", lines.clone() + "{}\n");
    folder.run(&["import", &wrong]).failed(1, &["wrong.ndjson, line 1101: there is no `specversion`", "are recorded"]);
}

#[test]
fn an_event_that_is_recorded_in_another_stream_is_refused() {
    let folder = Folder::new();
    folder.feed(&["import", "-"], crate::append::line("1", "a", "T")).ok();
    folder
        .feed(&["import", "-"], crate::append::line("1", "b", "T"))
        .failed(3, &["is recorded already, in stream a and not in b"]);
}

#[test]
fn text_that_is_not_utf8_is_refused() {
    let folder = Folder::new();
    let file = folder.file("t.csv", b"s,t\n1,a\n2,\xff\n");
    folder.run(&["import", &file, "--stream", "s", "--type", "t"]).failed(1, &["line 3: column 2 is not UTF-8", "iconv"]);
}
