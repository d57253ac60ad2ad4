//! Receipts, verification and backups of a store that is in use.

use factum::{Append, Store, StoreErrorKind};
use factum_embedded::{Receipt, verify};

use crate::support::{event, everything, files, fill, small};

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_of_a_live_store_opens_as_it_is_and_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let store = small().open(folder.path()).unwrap();
    fill(&store, 200).await;
    let appending = tokio::spawn({
        let store = store.clone();
        async move {
            for n in 0..200 {
                store.append(Append::new(vec![event("c-1", n)])).await.unwrap();
            }
        }
    });
    let to = folder.path().join("backup");
    let backup = tokio::task::block_in_place(|| store.backup(&to)).unwrap();
    appending.await.unwrap();
    let copy = small().open(&to).unwrap();
    let (copied, original) = (everything(&copy).await, everything(&store).await);
    assert!(backup.head.get() <= copied.len() as u64 && 200 <= copied.len());
    assert_eq!(copied, original[..copied.len()]);
    fill_other(&copy).await;
    copy.close();
    verify(&to, None, &mut |_, _| {}).unwrap();
    // A copy that was cut short says so.
    let last = files(&to, ".seg").pop().unwrap();
    std::fs::remove_file(to.join(last)).unwrap();
    assert_eq!(small().open_read_only(&to).unwrap_err().kind(), StoreErrorKind::Corrupt);
    let error = store.backup(&to).unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Invalid, "a backup writes over nothing");
}

async fn fill_other(store: &impl Store) {
    store.append(Append::new(vec![event("d-1", 0)])).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receipt_holds_while_the_log_grows_and_shows_a_changed_past() {
    let folder = tempfile::tempdir().unwrap();
    let store = small().open(folder.path()).unwrap();
    fill(&store, 60).await;
    let early: Receipt = store.receipt().unwrap().to_string().parse().unwrap();
    assert_eq!(early, store.receipt().unwrap());
    fill(&store, 200).await;
    let late = store.receipt().unwrap();
    assert_ne!(early.segment, late.segment);
    for receipt in [&early, &late] {
        assert_eq!(verify(folder.path(), Some(receipt), &mut |_, _| {}).unwrap().receipt, late);
    }
    store.close();
    verify(folder.path(), Some(&early), &mut |_, _| {}).unwrap();

    let forged = Receipt { digest: late.digest, ..early };
    assert_eq!(verify(folder.path(), Some(&forged), &mut |_, _| {}).unwrap_err().kind(), StoreErrorKind::Corrupt);
    let other = tempfile::tempdir().unwrap();
    let store = small().open(other.path()).unwrap();
    fill(&store, 300).await;
    let error = verify(other.path(), Some(&early), &mut |_, _| {}).unwrap_err();
    assert!(error.to_string().contains("receipt"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_digest_of_a_receipt_is_that_of_the_segment_file() {
    let folder = tempfile::tempdir().unwrap();
    let store = small().open(folder.path()).unwrap();
    fill(&store, 20).await;
    let receipt = store.receipt().unwrap();
    let name = &files(folder.path(), ".seg")[receipt.segment as usize];
    let bytes = std::fs::read(folder.path().join(name)).unwrap();
    assert_eq!(receipt.digest, *blake3::hash(&bytes[..receipt.bytes as usize]).as_bytes());
}
