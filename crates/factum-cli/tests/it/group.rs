//! `factum group`

use factum::{Backoff, GroupSettings, Log, Query};
use tokio_util::sync::CancellationToken;

use crate::factum::Folder;

/// A group that has parked the one event there is.
fn folder_with_a_group() -> Folder {
    let folder = Folder::new();
    folder.append("order-1", "Placed", &[]);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let store = factum_embedded::open(folder.path("store")).unwrap();
    runtime.block_on(async {
        let group = Log::new(store.clone()).group("mailer").unwrap();
        group.create(GroupSettings::new(Query::all()).backoff(Backoff::NEVER)).await.unwrap();
        let mut member = group.join("one", CancellationToken::new()).await.unwrap();
        let delivery = member.next().await.unwrap().unwrap();
        member.retry(&delivery, "nobody is there").await.unwrap();
        member.leave().await.unwrap();
    });
    store.close();
    folder
}

#[test]
fn groups_are_listed_and_shown() {
    let folder = folder_with_a_group();
    let listed = folder.run(&["group", "ls"]).values();
    assert_eq!((&listed[0]["group"], &listed[0]["members"], &listed[0]["parked"]), (&"mailer".into(), &0.into(), &1.into()));
    let shown = folder.run(&["group", "show", "mailer"]).values();
    assert_eq!((shown[0]["partitions"].as_array().unwrap().len(), &shown[0]["tries"]), (16, &1.into()));
}

#[test]
fn parked_events_are_listed_delivered_again_and_forgotten() {
    let folder = folder_with_a_group();
    let parked = folder.run(&["group", "parked", "mailer"]).values();
    assert_eq!((&parked[0]["position"], &parked[0]["error"]), (&1.into(), &"nobody is there".into()));
    folder.ok(&["group", "retry", "mailer"]);
    folder.ok(&["group", "discard", "mailer", "1"]);
    assert_eq!(folder.run(&["group", "parked", "mailer"]).values().len(), 0);
    assert_eq!(folder.run(&["group", "discard", "mailer", "1"]).code, 4);
}

#[test]
fn a_group_is_reset_and_removed() {
    let folder = folder_with_a_group();
    folder.ok(&["group", "reset", "mailer", "--to", "0"]);
    assert_eq!(folder.run(&["group", "ls"]).values()[0]["position"], 0);
    folder.ok(&["group", "rm", "mailer"]);
    assert_eq!(folder.run(&["group", "ls"]).values().len(), 0);
    let missing = folder.run(&["group", "show", "mailer"]);
    assert_eq!(missing.code, 4);
    assert!(missing.stderr.contains("there is no group mailer"), "{missing:?}");
}
