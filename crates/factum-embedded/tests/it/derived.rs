//! Everything but the segments is derived: it can be deleted, and is made again.

use factum::{Query, ReadStreams, Selector, Store};

use crate::support::{event, everything, files, fill, select, small};

#[tokio::test(flavor = "multi_thread")]
async fn what_was_appended_is_there_after_opening_again() {
    let folder = tempfile::tempdir().unwrap();
    for round in 1..=5 {
        let store = small().open(folder.path()).unwrap();
        fill(&store, 100).await;
        assert_eq!(everything(&store).await.len(), round * 100);
        store.close();
        let verified = factum_embedded::verify(folder.path(), None, &mut |_, _| {}).unwrap();
        assert_eq!(verified.events, round as u64 * 100);
    }
    assert!(1 < files(folder.path(), ".seg").len(), "the segments never rotated");
    assert!(files(folder.path(), ".idx").len() < 8, "the runs never merged");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_its_index_a_store_is_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let store = small().open(folder.path()).unwrap();
    fill(&store, 300).await;
    let tagged: Query = Selector::default().tag("n:1".parse().unwrap()).into();
    let before = (everything(&store).await, select(&store, tagged.clone()).await, streams(&store).await);
    store.close();
    for name in files(folder.path(), ".idx").iter().chain(["HEAD".to_owned()].iter()) {
        std::fs::remove_file(folder.path().join(name)).unwrap();
    }
    let store = small().open(folder.path()).unwrap();
    assert!(!files(folder.path(), ".idx").is_empty(), "the index of sealed segments is written at once");
    assert_eq!((everything(&store).await, select(&store, tagged).await, streams(&store).await), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_index_file_is_made_again() {
    let folder = tempfile::tempdir().unwrap();
    let store = small().open(folder.path()).unwrap();
    fill(&store, 100).await;
    let before = everything(&store).await;
    store.close();
    for name in files(folder.path(), ".idx") {
        std::fs::write(folder.path().join(name), b"FACTIDX1 but not really").unwrap();
    }
    let store = small().open(folder.path()).unwrap();
    assert_eq!(everything(&store).await, before);
    store.append(factum::Append::new(vec![event("a-1", 0)])).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bit_that_decayed_in_an_index_is_not_merged_into_a_new_one() {
    let folder = tempfile::tempdir().unwrap();
    let store = small().open(folder.path()).unwrap();
    fill(&store, 32).await;
    store.close();
    let path = folder.path().join(&files(folder.path(), ".idx")[0]);
    let mut bytes = std::fs::read(&path).unwrap();
    // Behind the header and the offsets: an id.
    bytes[256 + 32 * 4 + 8] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let store = small().open(folder.path()).unwrap();
    fill(&store, 400).await;
    store.close();
    let error = factum_embedded::verify(folder.path(), None, &mut |_, _| {}).unwrap_err();
    assert!(error.to_string().contains(".idx is damaged"), "{error}");
}

async fn streams(store: &factum_embedded::EmbeddedStore) -> Vec<factum::StreamSummary> {
    store.streams(ReadStreams { limit: 100, ..ReadStreams::default() }).await.unwrap().streams
}
