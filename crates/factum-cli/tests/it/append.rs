//! `factum append`

use serde_json::json;

use crate::factum::{Folder, member};

/// A line of a CloudEvent.
pub(crate) fn line(id: &str, stream: &str, event_type: &str) -> String {
    let event =
        json!({"specversion": "1.0", "id": id, "source": "test", "type": event_type, "subject": stream, "data": {"n": 1}});
    format!("{event}\n")
}

#[test]
fn an_event_is_recorded_with_all_that_is_said_of_it() {
    let folder = Folder::new();
    let cause = folder.append("order-1", "Placed", &[]);
    let id = "01890a5d-ac96-774b-bcce-b302099a8057";
    #[rustfmt::skip]
    let appended = folder.run(&[
        "append", "order-1", "--type", "Paid", "--data", r#"{"cents": 1.50}"#, "--expect", "1", "--id", id,
        "--causation", &cause, "--correlation", "c-1", "--actor", "ann", "--tag", "order:1", "--tag", "card:visa, gold",
        "--header", "tenant=eu=1", "--header", "über=ja",
    ]);
    assert_eq!(appended.values(), [json!({"id": id, "stream": "order-1", "version": 2, "position": 2})]);
    let event = folder.run(&["read", "--last", "1"]).values().remove(0);
    for (name, value) in [
        ("id", id),
        ("type", "Paid"),
        ("subject", "order-1"),
        ("causationid", &cause),
        ("correlationid", "c-1"),
        ("actor", "ann"),
        ("tags", r#"["order:1","card:visa, gold"]"#),
        ("headers", r#"{"tenant":"eu=1","über":"ja"}"#),
        ("position", "2"),
    ] {
        assert_eq!(event[name], value, "{name}");
    }
    assert_eq!((&event["streamversion"], &event["time"]), (&json!(2), &event["recordedtime"]));
    assert!(folder.ok(&["read", "--last", "1"]).contains(r#""data":{"cents": 1.50}"#));
}

#[test]
fn data_comes_from_a_file_or_from_stdin_too() {
    let folder = Folder::new();
    let file = folder.file("data.json", "{\n  \"a\": 1\n}\n");
    folder.ok(&["append", "s", "--type", "T", "--data", &format!("@{file}")]);
    folder.feed(&["append", "s", "--type", "T", "--data", "-"], "[true]\n").ok();
    assert_eq!(member(&folder.run(&["read"]).values(), "data"), [json!({"a": 1}), json!([true])]);
    folder.run(&["append", "s", "--type", "T", "--data", "@nowhere.json"]).failed(4, &["nowhere.json"]);
}

#[test]
fn lines_of_stdin_are_one_append_to_their_own_streams() {
    let folder = Folder::new();
    let lines = line("1", "a", "T") + "\n" + &line("2", "b", "T") + &line("3", "a", "T");
    let rows = folder.feed(&["append"], lines).values();
    assert_eq!(member(&rows, "stream"), ["a", "b", "a"]);
    assert_eq!(member(&rows, "version"), [1, 1, 2]);
    assert_eq!(member(&rows, "position"), [1, 2, 3]);
}

#[test]
fn a_line_without_a_subject_goes_to_the_stream_that_the_command_names() {
    let folder = Folder::new();
    let line = r#"{"specversion":"1.0","id":"1","source":"t","type":"T","data":null}"#;
    folder.feed(&["append"], line).failed(1, &["stdin, line 1: there is no `subject`", "hint: "]);
    assert!(!folder.path("store").exists());
    assert_eq!(member(&folder.feed(&["append", "a"], line).values(), "stream"), ["a"]);
    let other = self::line("2", "b", "T");
    folder.feed(&["append", "a"], other).failed(1, &["line 1: `subject` is b"]);
}

#[test]
fn a_wrong_line_is_named_and_nothing_of_the_append_is_recorded() {
    let folder = Folder::new();
    folder.append("a", "T", &[]);
    let good = line("1", "a", "T");
    for (bad, said) in [
        ("not json", "not a JSON object"),
        ("[1]", "not a JSON object"),
        (r#"{"specversion":"1.0","id":"1","source":"t","type":"T"} {}"#, "not a JSON object"),
        (r#"{"id":"2","source":"t","type":"T"}"#, "there is no `specversion`"),
        (r#"{"specversion":"0.3","id":"2","source":"t","type":"T"}"#, "`specversion` is not"),
        (r#"{"specversion":"1.0","source":"t","type":"T"}"#, "there is no `id`"),
        (r#"{"specversion":"1.0","id":7,"source":"t","type":"T"}"#, "`id` is not a text"),
        (r#"{"specversion":"1.0","id":"2","source":"t","type":"a\nb"}"#, "an event type has a control character"),
        (r#"{"specversion":"1.0","id":"2","source":"t","type":"T","time":"noon"}"#, "`time`: \"noon\" is no point in time"),
        (r#"{"specversion":"1.0","id":"2","source":"t","type":"T","tags":"a:b"}"#, "`tags` is not a JSON array"),
        (r#"{"specversion":"1.0","id":"2","source":"t","type":"T","tags":"[\"a\"]"}"#, "is no tag"),
        (r#"{"specversion":"1.0","id":"2","source":"t","type":"T","headers":"x"}"#, "`headers` is not a JSON object"),
        (r#"{"specversion":"1.0","id":"2","source":"t","type":"T","schemaversion":0}"#, "`schemaversion` is not a number"),
        (r#"{"specversion":"1.0","id":"2","source":"t","type":"T","data_base64":"?"}"#, "`data_base64` is not Base64"),
        (r#"{"specversion":"1.0","id":"2","source":"t","type":"T","data":1,"data_base64":""}"#, "both `data` and `data_base64`"),
    ] {
        folder.feed(&["append", "a"], format!("{good}\n{bad}\n{good}")).failed(1, &["stdin, line 3: ", said]);
    }
    let mut bytes = good.into_bytes();
    bytes.extend(b"{\"specversion\":\"\xff\"}");
    folder.feed(&["append", "a"], bytes).failed(1, &["stdin, line 2: byte 17 is not UTF-8", "hint: "]);
    assert_eq!(folder.run(&["read"]).values().len(), 1);
}

#[test]
fn an_expectation_that_does_not_hold_is_told_the_actual_version() {
    let folder = Folder::new();
    folder.append("a", "T", &["--expect", "none"]);
    folder.append("a", "T", &["--expect", "exists"]);
    let append = |expect| folder.run(&["append", "a", "--type", "T", "--data", "{}", "--expect", expect]);
    append("none").failed(3, &["nothing was recorded: stream a is at version 2, not 0\n\nhint: ", "--expect 2"]);
    append("1").failed(3, &["stream a is at version 2, not 1"]);
    folder
        .run(&["append", "b", "--type", "T", "--data", "{}", "--expect", "exists"])
        .failed(3, &["stream b is at version 0", "hint: the stream has no events"]);
    folder.feed(&["append", "a", "--expect", "1"], line("9", "a", "T")).failed(3, &["stream a is at version 2, not 1"]);
    assert_eq!(folder.run(&["read"]).values().len(), 2);
    assert_eq!(append("2").code, 0);
}

#[test]
fn an_append_repeated_with_the_same_ids_is_answered_the_same_and_records_nothing() {
    let folder = Folder::new();
    let lines = line("1", "a", "T") + &line("2", "b", "T");
    let first = folder.feed(&["append"], &lines).ok();
    folder.append("a", "Later", &[]);
    assert_eq!(folder.feed(&["append"], &lines).ok(), first);
    assert_eq!(folder.run(&["read"]).values().len(), 3);
    folder.feed(&["append"], line("1", "b", "T")).failed(3, &["is recorded already"]);
}

#[test]
fn more_lines_than_an_append_can_have_are_refused_unless_they_come_in_batches() {
    let folder = Folder::new();
    let lines: String = (0..10_001).map(|id| line(&id.to_string(), "a", "T")).collect();
    folder.feed(&["append"], &lines).failed(1, &["nothing was recorded", "10000 events", "--batch"]);
    assert!(!folder.path("store").exists());
    assert_eq!(folder.feed(&["append", "--batch", "4000"], &lines).ok().lines().count(), 10_001);
    assert_eq!(folder.run(&["stream", "show", "a", "--last", "1"]).values()[0]["version"], 10_001);
}
