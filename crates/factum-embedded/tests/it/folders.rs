//! Folders that are not what they should be: each a clear error that says what to do, and nothing lost.

use std::path::Path;

use factum::{Append, Store, StoreError, StoreErrorKind};
use factum_embedded::Options;

use crate::support::{copy, event, files, fill, small};

/// A store with several segments, closed.
async fn filled() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let store = small().open(folder.path()).unwrap();
    fill(&store, 200).await;
    store.close();
    folder
}

/// What opening the folder says, either way, with the causes; opening must fail and change no segment.
fn refused(folder: &Path, kind: StoreErrorKind) -> String {
    let before: Vec<_> = files(folder, ".seg").iter().map(|name| std::fs::read(folder.join(name)).unwrap()).collect();
    let mut said = String::new();
    for opened in [small().open(folder), small().open_read_only(folder)] {
        let error: StoreError = opened.unwrap_err();
        assert_eq!(error.kind(), kind, "{error}: {:?}", std::error::Error::source(&error));
        said = format!("{error}: {}", std::error::Error::source(&error).unwrap());
    }
    let after: Vec<_> = files(folder, ".seg").iter().map(|name| std::fs::read(folder.join(name)).unwrap()).collect();
    assert_eq!(before, after, "a refused folder was changed");
    said
}

fn edit(path: &Path, edit: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = std::fs::read(path).unwrap();
    edit(&mut bytes);
    std::fs::write(path, bytes).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_truncated_segment_is_refused() {
    let folder = filled().await;
    let names = files(folder.path(), ".seg");
    for name in [&names[0], &names[1], &names[names.len() - 1]] {
        let broken = tempfile::tempdir().unwrap();
        copy(folder.path(), broken.path());
        edit(&broken.path().join(name), |bytes| bytes.truncate(bytes.len() / 2));
        let said = refused(broken.path(), StoreErrorKind::Corrupt);
        assert!(said.contains("restore"), "{said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flipped_bit_is_found_by_verify_wherever_it_is() {
    let folder = filled().await;
    for name in files(folder.path(), ".seg").iter().chain(&files(folder.path(), ".idx")) {
        let len = std::fs::metadata(folder.path().join(name)).unwrap().len() as usize;
        for at in (0..len).step_by(len / 40 + 1) {
            edit(&folder.path().join(name), |bytes| bytes[at] ^= 1 << (at % 8));
            let damaged = factum_embedded::verify(folder.path(), None, &mut |_, _| {});
            assert!(damaged.is_err() || !is_used(name, at), "{name}: a bit flipped at byte {at} of {len} was not found");
            edit(&folder.path().join(name), |bytes| bytes[at] ^= 1 << (at % 8));
        }
    }
    factum_embedded::verify(folder.path(), None, &mut |_, _| {}).unwrap();
}

/// Whether a byte means anything. An index run whose header is wrong is passed over and made again.
fn is_used(name: &str, at: usize) -> bool {
    !(name.ends_with(".idx") && at < 256)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_is_damaged_is_not_handed_out() {
    let folder = filled().await;
    let name = &files(folder.path(), ".seg")[0];
    edit(&folder.path().join(name), |bytes| bytes[300] ^= 4);
    let store = small().open(folder.path()).unwrap();
    let error = store.read(factum::Read::new(factum::Query::all())).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Corrupt);
    assert!(error.to_string().contains(name), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_segment_is_refused() {
    let folder = filled().await;
    let names = files(folder.path(), ".seg");
    for name in &names {
        let broken = tempfile::tempdir().unwrap();
        copy(folder.path(), broken.path());
        std::fs::remove_file(broken.path().join(name)).unwrap();
        refused(broken.path(), StoreErrorKind::Corrupt);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_lost_all_of_its_segments_is_not_begun_anew() {
    let folder = filled().await;
    for name in files(folder.path(), ".seg") {
        std::fs::remove_file(folder.path().join(name)).unwrap();
    }
    refused(folder.path(), StoreErrorKind::Corrupt);
    for name in files(folder.path(), ".idx") {
        std::fs::remove_file(folder.path().join(name)).unwrap();
    }
    let said = refused(folder.path(), StoreErrorKind::Corrupt);
    assert!(said.contains("00000000.seg is missing"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newer_format_is_refused_with_advice() {
    let folder = filled().await;
    edit(&folder.path().join(&files(folder.path(), ".seg")[0]), |bytes| bytes[8] = 2);
    let said = refused(folder.path(), StoreErrorKind::Unsupported);
    assert!(said.contains("newer"), "{said}");
}

#[test]
fn a_folder_of_something_else_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("holiday.jpg"), b"sun").unwrap();
    let error = factum_embedded::open(folder.path()).unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Unsupported);
    assert_eq!(files(folder.path(), ""), ["holiday.jpg"]);
    std::fs::write(folder.path().join("00000000.seg"), b"not a segment").unwrap();
    refused(folder.path(), StoreErrorKind::Unsupported);
}

#[test]
fn a_path_that_is_a_file_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    std::fs::write(&path, b"").unwrap();
    let error = factum_embedded::open(&path).unwrap_err();
    assert!(error.to_string().contains("file"), "{error}");
    assert_eq!(Options::default().open_read_only(folder.path().join("none")).unwrap_err().kind(), StoreErrorKind::NotFound);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_writer_is_refused_until_the_first_has_closed() {
    let folder = tempfile::tempdir().unwrap();
    let first = small().open(folder.path()).unwrap();
    assert_eq!(small().open(folder.path()).unwrap_err().kind(), StoreErrorKind::Locked);
    fill(&first, 2).await;
    first.close();
    let second = small().open(folder.path()).unwrap();
    fill(&second, 2).await;
    let refused = first.append(Append::new(vec![event("a-1", 0)])).await.unwrap_err();
    assert!(matches!(refused, factum::AppendError::Store(error) if error.kind() == StoreErrorKind::Closed));
}
