//! `factum read` and `factum stream`

use std::process::Child;

use serde_json::json;

use crate::factum::{Folder, member, next_line, stdout, values};

/// Six events in three streams of two categories.
fn six() -> Folder {
    let folder = Folder::new();
    folder.append("order-1", "Placed", &["--tag", "customer:ann"]);
    folder.append("order-2", "Placed", &["--tag", "customer:bob"]);
    folder.append("order-1", "Paid", &["--tag", "customer:ann", "--tag", "card:visa"]);
    folder.append("cart-1", "Emptied", &["--tag", "customer:ann"]);
    folder.append("order-1", "Shipped", &[]);
    folder.append("order-2", "Paid", &["--tag", "card:visa"]);
    folder
}

#[track_caller]
fn check(folder: &Folder, arguments: &[&str], positions: &[&str]) {
    let events = folder.run(&[&["read"], arguments].concat()).values();
    assert_eq!(member(&events, "position"), positions, "{arguments:?}");
}

#[test]
fn filters_select_by_stream_category_type_and_tag() {
    let folder = six();
    check(&folder, &[], &["1", "2", "3", "4", "5", "6"]);
    check(&folder, &["order-1"], &["1", "3", "5"]);
    check(&folder, &["--category", "cart"], &["4"]);
    check(&folder, &["--type", "Paid", "--type", "Emptied"], &["3", "4", "6"]);
    check(&folder, &["--tag", "card:visa", "--tag", "customer:ann"], &["3"]);
    check(&folder, &["order-2", "--type", "Paid", "--tag", "card:visa"], &["6"]);
    check(&folder, &["--category", "nothing"], &[]);
}

#[test]
fn a_part_is_after_a_position_or_a_version_or_the_last_or_up_to_a_limit() {
    let folder = six();
    check(&folder, &["--after", "4"], &["5", "6"]);
    check(&folder, &["order-1", "--after", "1"], &["3", "5"]);
    check(&folder, &["--limit", "2"], &["1", "2"]);
    check(&folder, &["--last", "2"], &["5", "6"]);
    check(&folder, &["order-1", "--last", "2"], &["3", "5"]);
    check(&folder, &["--last", "3", "--limit", "1"], &["4"]);
    check(&folder, &["--last", "99"], &["1", "2", "3", "4", "5", "6"]);
    check(&folder, &["--backward"], &["6", "5", "4", "3", "2", "1"]);
    check(&folder, &["--backward", "--last", "2"], &["6", "5"]);
    check(&folder, &["order-1", "--after", "1", "--backward", "--limit", "1"], &["5"]);
    check(&folder, &["--after", "99"], &[]);
}

#[test]
fn since_a_time_is_what_was_recorded_then_or_later() {
    let folder = six();
    let events = folder.run(&["read"]).values();
    let times = member(&events, "recordedtime");
    let fourth = times[3].as_str().unwrap();
    let expected: Vec<_> = events.iter().filter(|event| fourth <= event["recordedtime"].as_str().unwrap()).collect();
    assert_eq!(folder.run(&["read", "--since", fourth]).values().iter().collect::<Vec<_>>(), expected);
    check(&folder, &["--since", "1h"], &["1", "2", "3", "4", "5", "6"]);
    check(&folder, &["--since", "2999-01-01T00:00:00Z"], &[]);
}

#[test]
fn more_than_a_page_is_read_to_its_end_either_way() {
    let folder = Folder::new();
    let lines: String = (0..2_500).map(|id| crate::append::line(&id.to_string(), "a", "T")).collect();
    folder.feed(&["append"], lines).ok();
    for arguments in [&["read"][..], &["read", "a", "--backward"], &["read", "--last", "2400"], &["read", "--limit", "2400"]] {
        let mut positions: Vec<u64> = member(&folder.run(arguments).values(), "position")
            .iter()
            .map(|position| position.as_str().unwrap().parse().unwrap())
            .collect();
        if arguments.contains(&"--backward") {
            positions.reverse();
        }
        let (first, last) = match arguments {
            ["read", "--last", _] => (101, 2_500),
            ["read", "--limit", _] => (1, 2_400),
            _ => (1, 2_500),
        };
        assert_eq!(positions, (first..=last).collect::<Vec<u64>>(), "{arguments:?}");
    }
}

#[test]
fn following_prints_what_is_there_and_what_comes_until_it_is_interrupted() {
    let folder = six();
    let mut child = folder.start(&["read", "--follow", "order-1", "--last", "1"]);
    let mut out = stdout(&mut child);
    assert!(next_line(&mut out).contains("Shipped"));
    folder.append("order-2", "Shipped", &[]);
    folder.append("order-1", "Delivered", &[]);
    assert!(next_line(&mut out).contains("Delivered"));
    signal(&child, rustix::process::Signal::INT);
    let ended = child.wait_with_output().unwrap();
    assert_eq!((ended.status.code(), ended.stderr.as_slice()), (Some(130), &b""[..]));
}

fn signal(child: &Child, signal: rustix::process::Signal) {
    rustix::process::kill_process(rustix::process::Pid::from_child(child), signal).unwrap();
}

#[test]
fn a_command_that_waits_ends_on_sigterm() {
    let folder = six();
    let mut child = folder.start(&["read", "--follow"]);
    assert!(next_line(&mut stdout(&mut child)).contains("Placed"));
    signal(&child, rustix::process::Signal::TERM);
    assert_eq!(child.wait().unwrap().code(), Some(130));
}

#[test]
fn following_ends_at_its_limit() {
    let folder = six();
    assert_eq!(folder.run(&["read", "--follow", "--limit", "4"]).values().len(), 4);
}

#[test]
fn reading_works_beside_a_writer() {
    let folder = six();
    let writer = factum_embedded::open(folder.path("store")).unwrap();
    for command in [&["read"][..], &["stream", "ls"], &["stats"], &["verify"], &["backup", "copy"], &["export"]] {
        assert!(!folder.ok(command).is_empty(), "{command:?}");
    }
    drop(writer);
}

#[test]
fn streams_are_listed_in_the_order_of_their_first_events() {
    let folder = six();
    let streams = |arguments: &[&str]| member(&folder.run(&[&["stream", "ls"], arguments].concat()).values(), "stream");
    assert_eq!(streams(&[]), ["order-1", "order-2", "cart-1"]);
    assert_eq!(streams(&["--category", "order"]), ["order-1", "order-2"]);
    assert_eq!(streams(&["--prefix", "c"]), ["cart-1"]);
    assert_eq!(streams(&["--limit", "2"]), ["order-1", "order-2"]);
    let first = folder.run(&["stream", "ls", "--limit", "1"]).values().remove(0);
    let events = folder.run(&["read", "order-1"]).values();
    assert_eq!((&first["version"], &first["first"]), (&json!(3), &events[0]["recordedtime"]));
    assert_eq!(first["last"], events[2]["recordedtime"]);
}

#[test]
fn a_stream_is_shown_with_its_last_events() {
    let folder = six();
    let shown = values(&folder.ok(&["stream", "show", "order-1", "--last", "2"])).remove(0);
    assert_eq!((&shown["stream"], &shown["version"]), (&json!("order-1"), &json!(3)));
    assert_eq!(member(shown["events"].as_array().unwrap(), "type"), ["Paid", "Shipped"]);
    let table = folder.ok(&["stream", "show", "order-1", "--format", "table"]);
    assert!(table.starts_with("stream   order-1\nversion  3\n") && table.contains("Shipped"), "{table}");
}
