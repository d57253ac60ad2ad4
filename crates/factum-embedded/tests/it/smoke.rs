//! The shortest way through: append, read, close, open.

use factum::{Append, Expected, NewEvent, Payload, Position, Query, Read, Selector, Store, StreamName, Tag};
use factum_embedded::Options;

fn event(stream: &str, n: u64) -> NewEvent {
    let mut event = NewEvent::new(StreamName::new(stream).unwrap(), "Happened", Payload::json(format!("{{\"n\":{n}}}"))).unwrap();
    event.tags = vec![Tag::of("n", n % 3).unwrap()];
    event
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_appended_is_there_after_opening_again() {
    let folder = tempfile::tempdir().unwrap();
    let options = Options::default().segment_bytes(4096).fill_bytes(512).index_events(20);
    for round in 0..5_u64 {
        let store = options.open(folder.path()).unwrap();
        for n in 0..50 {
            let append = Append::new(vec![event("a-1", n), event("b-2", n)]);
            let version = factum::Version::new(round * 50 + n);
            store.append(append.expect(StreamName::new("a-1").unwrap(), Expected::Exact(version))).await.unwrap();
        }
        let through = (round + 1) * 100;
        assert_eq!(store.head().await.unwrap(), Position::new(through));
        let all = store.read(Read::new(Query::all()).limit(10_000)).await.unwrap();
        assert_eq!(all.events.len() as u64, through);
        let tagged = store.read(Read::new(Selector::default().tag("n:1".parse().unwrap()).into()).limit(10_000)).await.unwrap();
        assert_eq!(tagged.events, all.events.iter().filter(|e| e.tags[0].as_str() == "n:1").cloned().collect::<Vec<_>>());
        store.close();
        let verified = factum_embedded::verify(folder.path(), None, &mut |_, _| {}).unwrap();
        assert_eq!(verified.events, through);
    }
}
