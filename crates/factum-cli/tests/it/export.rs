//! `factum export`

use crate::factum::{Folder, values};
use crate::import::cases;

#[test]
fn what_was_imported_from_csv_is_exported_as_the_same_rows() {
    let folder = Folder::new();
    let rows = cases(1_700) + "Ünïcode,case-9,,,,\"two\nlines, 100 %\"\n";
    let file = folder.file("cases.csv", &rows);
    folder.ok(&["import", &file, "--stream", "case", "--type", "activity"]);
    assert_eq!(folder.ok(&["export", "--format", "csv"]), rows);
    folder.ok(&["export", "--format", "csv", "--output", "out.csv"]);
    assert_eq!(std::fs::read_to_string(folder.path("out.csv")).unwrap(), rows);
}

#[test]
fn columns_are_the_members_of_all_data_in_the_order_in_which_they_appear() {
    let folder = Folder::new();
    for data in [r#"{"b":"x","a":1.50}"#, r#"{"c":{"d":[1]},"b":null}"#, r#"{"a":true,"b":""}"#] {
        folder.ok(&["append", "s-1", "--type", "T", "--data", data, "--actor", "ann"]);
    }
    let expected = "b,a,c\nx,1.50,\n,,\"{\"\"d\"\":[1]}\"\n,true,\n";
    assert_eq!(folder.ok(&["export", "--format", "csv"]), expected);
    let envelope = folder.ok(&["export", "--format", "csv", "--envelope", "--limit", "1"]);
    let (header, row) = envelope.split_once('\n').unwrap();
    assert_eq!(header, "position,stream,version,type,time,actor,b,a");
    assert!(row.starts_with("1,s-1,1,T,2") && row.ends_with(",ann,x,1.50\n"), "{row}");
    assert_eq!(folder.ok(&["export", "--format", "csv", "--after", "99"]), "");
}

#[test]
fn data_that_is_no_object_is_no_row() {
    let folder = Folder::new();
    folder.append("s", "T", &[]);
    folder.ok(&["append", "s", "--type", "T", "--data", "[1]"]);
    let failed = folder.run(&["export", "--format", "csv", "--output", "out.csv"]);
    failed.failed(1, &["the event at position 2 cannot be a CSV row", "--format ndjson"]);
    let left: Vec<_> = std::fs::read_dir(folder.path("")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["store"]);
}

#[test]
fn cloud_events_are_exported_as_they_are_read() {
    let folder = Folder::new();
    folder.append("s-1", "T", &[]);
    folder.append("t-1", "T", &[]);
    assert_eq!(folder.ok(&["export"]), folder.ok(&["read"]));
    assert_eq!(values(&folder.ok(&["export", "--category", "t"])).len(), 1);
}
