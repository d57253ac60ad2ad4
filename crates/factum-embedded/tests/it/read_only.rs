//! Readers beside a writer, as another process has them.

use std::time::Duration;

use factum::{Append, AppendError, Position, Store, StoreErrorKind};
use factum_embedded::Options;

use crate::support::{event, everything, files, fill, small};

/// Waits, with a bound, until the reader has seen this much.
async fn seen(reader: &impl Store, position: u64) {
    let seen = async {
        while reader.head().await.unwrap() < Position::new(position) {
            reader.changed(reader.head().await.unwrap()).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), seen).await.expect("the reader does not follow");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_follows_a_writer_across_segments_and_indexes() {
    let folder = tempfile::tempdir().unwrap();
    let writer = small().open(folder.path()).unwrap();
    let reader = small().open_read_only(folder.path()).unwrap();
    for round in 1..=6 {
        fill(&writer, 100).await;
        seen(&reader, round * 100).await;
        assert_eq!(everything(&reader).await, everything(&writer).await);
    }
    assert!(3 < files(folder.path(), ".seg").len());
    writer.close();
    let late = small().open_read_only(folder.path()).unwrap();
    assert_eq!(everything(&late).await, everything(&reader).await);
    let again = small().open(folder.path()).unwrap();
    fill(&again, 10).await;
    seen(&reader, 610).await;
    seen(&late, 610).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_records_nothing_and_changes_no_file() {
    let folder = tempfile::tempdir().unwrap();
    let writer = small().open(folder.path()).unwrap();
    fill(&writer, 40).await;
    writer.close();
    let before: Vec<_> = files(folder.path(), "").iter().map(|name| std::fs::read(folder.path().join(name)).unwrap()).collect();
    let reader = Options::default().open_read_only(folder.path()).unwrap();
    match reader.append(Append::new(vec![event("a-1", 0)])).await {
        Err(AppendError::Store(error)) => assert_eq!(error.kind(), StoreErrorKind::ReadOnly),
        other => panic!("{other:?}"),
    }
    assert_eq!(everything(&reader).await.len(), 40);
    reader.close();
    assert_eq!(reader.head().await.unwrap_err().kind(), StoreErrorKind::Closed);
    let after: Vec<_> = files(folder.path(), "").iter().map(|name| std::fs::read(folder.path().join(name)).unwrap()).collect();
    assert_eq!(before, after);
}
