//! The example does what it says, and goes on where it was.

use factum::{FileSnapshots, Log, Query, Read};

async fn a_day(dir: &std::path::Path) -> String {
    let mut said = Vec::new();
    let log = Log::new(factum_embedded::open(dir).unwrap());
    let snapshots = FileSnapshots::new(dir.join("snapshots")).unwrap();
    factum_bank::run(log, snapshots, &mut said).await.unwrap();
    String::from_utf8(said).unwrap()
}

#[tokio::test]
async fn a_second_day_goes_on_with_the_history_of_the_first() {
    let dir = tempfile::tempdir().unwrap();
    let first = a_day(dir.path()).await;
    for line in [
        "It begins with 0 events.",
        "ann deposits 10000 cents: version 2.",
        "bob asks for 100000000 cents and is refused: 99990010 cents missing.",
        "ann sends bob 2500 cents: one append to 2 streams.",
        "An event of schema 1 is read as Some(Withdrawn { cents: 100, fee: 0 }).",
        "ann has 7490 cents, loaded from a snapshot at version 2 of 3.",
        "An hour ago ann had 0 cents, at version 0.",
    ] {
        assert!(first.contains(line), "{line}\n{first}");
    }
    let second = a_day(dir.path()).await;
    for line in ["It begins with 7 events.", "ann has 14980 cents"] {
        assert!(second.contains(line), "{line}\n{second}");
    }
    let log = Log::new(factum_embedded::open_read_only(dir.path()).unwrap());
    let events = log.read(Read::new(Query::all())).next().await.unwrap().unwrap().events;
    assert!(events.iter().all(|event| event.metadata.actor.as_deref() == Some("demo")));
}
