//! `factum state`

use serde_json::json;

use crate::factum::Folder;

fn order() -> Folder {
    let folder = Folder::new();
    let events = [
        ("Placed", r#"{"customer":"c-9","total":4500,"address":{"city":"Delft","street":"Markt"}}"#),
        ("Discounted", r#"{"total":4200}"#),
        ("Moved", r#"{"address":{"street":null,"city":"Gouda"},"note":null}"#),
    ];
    for (event_type, data) in events {
        folder.ok(&["append", "order-1", "--type", event_type, "--data", data]);
    }
    folder
}

#[test]
fn the_data_of_a_streams_events_is_merged_up_to_a_version() {
    let folder = order();
    let state = &folder.run(&["state", "order-1"]).values()[0];
    assert_eq!(state["version"], 3);
    assert_eq!(state["state"], json!({"customer": "c-9", "total": 4200, "address": {"city": "Gouda"}}));
    let before = &folder.run(&["state", "order-1", "--at", "1"]).values()[0];
    assert_eq!((&before["version"], &before["state"]["total"]), (&json!(1), &json!(4500)));
    let now = &folder.run(&["state", "order-1", "--at", "2100-01-01T00:00:00Z"]).values()[0];
    assert_eq!(now["state"], state["state"]);
}

#[test]
fn what_changed_between_two_versions_is_told_member_by_member() {
    let folder = order();
    let changes = folder.run(&["state", "order-1", "--diff", "1..3"]).values();
    assert_eq!(
        changes,
        [
            json!({"path": "address.city", "before": "Delft", "after": "Gouda"}),
            json!({"path": "address.street", "before": "Markt", "after": null}),
            json!({"path": "total", "before": 4500, "after": 4200}),
        ]
    );
    assert_eq!(folder.run(&["state", "order-1", "--diff", "2..2"]).values().len(), 0);
}

#[test]
fn a_state_that_is_not_there_is_told() {
    let folder = order();
    for arguments in [
        &["state", "order-2"][..],
        &["state", "order-1", "--at", "4"],
        &["state", "order-1", "--at", "2000-01-01T00:00:00Z"],
        &["state", "order-1", "--diff", "1..4"],
    ] {
        let refused = folder.run(arguments);
        assert_eq!(refused.code, 4, "{refused:?}");
    }
    assert_eq!(folder.run(&["state", "order-1", "--diff", "3"]).code, 2);
    assert_eq!(folder.run(&["state", "order-1", "--at", "soon"]).code, 2);
}
