//! Stores that released formats wrote: each opens, reads the same, verifies and goes on.
//!
//! `FACTUM_WRITE_FIXTURE=1 cargo test -p factum-embedded fixture` writes the one of the current format where it is missing.

use std::path::{Path, PathBuf};
use std::time::Duration;

use factum::testing::ManualClock;
use factum::{Append, ContentType, EventId, Metadata, NewEvent, Payload, Position, Store, StreamName, Tag, Timestamp};
use factum_embedded::Receipt;

use crate::support::{copy, event, everything, small};

fn fixture() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/format-1")
}

fn id(n: u128) -> EventId {
    uuid::Uuid::from_u128(n).into()
}

/// Something of everything that the format has.
fn events(n: u128) -> Vec<NewEvent> {
    let stream = |name: &str| StreamName::new(name).unwrap();
    let mut plain = NewEvent::new(stream("account-1"), "Opened", Payload::json("{\"owner\":\"ann\"}")).unwrap();
    plain.id = id(3 * n + 1);
    let mut tagged = NewEvent::new(stream("заказ-7"), "Placed", Payload::json(format!("{{\"n\":{n}}}"))).unwrap();
    tagged.id = id(3 * n + 2);
    tagged.tags = vec![Tag::of("course", n % 3).unwrap(), Tag::of("student", "Łukasz").unwrap()];
    let binary = Payload { content_type: ContentType::new("image/png").unwrap(), data: vec![n as u8; n as usize].into() };
    let mut full = NewEvent::new(stream(&format!("picture-{n}")), "Taken", binary).unwrap();
    full.id = id(3 * n + 3);
    full.schema = 7;
    full.metadata = Metadata::default()
        .actor("ann")
        .correlation_id(format!("talk-{}", n % 4))
        .causation_id(tagged.id)
        .traceparent("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
        .occurred_at(Timestamp::from_micros(-1))
        .header("tenant", "eu")
        .header("", "");
    vec![plain, tagged, full]
}

const APPENDS: u128 = 40;

async fn write(folder: &Path) {
    let clock = ManualClock::new(Timestamp::from_micros(1_700_000_000_000_000));
    let store = small().clock(clock.clone()).index_inline().open(folder).unwrap();
    for n in 0..APPENDS {
        let append = Append::new(events(n));
        store.append(append.consumed("billing".parse().unwrap(), Position::new(n as u64 + 1))).await.unwrap();
        clock.advance(Duration::from_secs(1));
    }
    std::fs::write(folder.join("receipt.txt"), store.receipt().unwrap().to_string()).unwrap();
    store.close();
    std::fs::remove_file(folder.join("LOCK")).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_of_format_1_opens_and_reads_the_same() {
    if !fixture().exists() && std::env::var_os("FACTUM_WRITE_FIXTURE").is_some() {
        write(&fixture()).await;
    }
    let folder = tempfile::tempdir().unwrap();
    copy(&fixture(), folder.path());
    let receipt: Receipt = std::fs::read_to_string(folder.path().join("receipt.txt")).unwrap().parse().unwrap();
    factum_embedded::verify(folder.path(), Some(&receipt), &mut |_, _| {}).unwrap();
    let store = small().open(folder.path()).unwrap();
    let recorded = everything(&store).await;
    let written: Vec<_> = (0..APPENDS).flat_map(events).collect();
    assert_eq!(recorded.len(), written.len());
    for (n, (recorded, new)) in recorded.into_iter().zip(written).enumerate() {
        let time = Timestamp::from_micros(1_700_000_000_000_000).later(Duration::from_secs(n as u64 / 3));
        let version = if n % 3 == 2 { 1 } else { n as u64 / 3 + 1 };
        let position = Position::new(n as u64 + 1);
        assert_eq!(recorded, factum::RecordedEvent::record(new, position, factum::Version::new(version), time));
    }
    assert_eq!(store.consumed("billing".parse().unwrap()).await.unwrap(), Position::new(APPENDS as u64));
    store.append(Append::new(vec![event("account-1", 0)])).await.unwrap();
    store.close();
    factum_embedded::verify(folder.path(), Some(&receipt), &mut |_, _| {}).unwrap();
}
