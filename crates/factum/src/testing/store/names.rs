//! Names of streams: any script, compared byte by byte.

use super::bench::Bench;
use super::builders::{accept, all_streams, conflict, event, positions, record, refuse, stream, version};
use crate::{
    Append, Category, Conflict, ConsumerName, Expected, Position, Query, ReadStreams, Selector, Store, StreamName, Version,
};

/// Records an event in each of the streams, each of them new, and finds each in every way that there is.
async fn check_names(bench: &Bench<'_>, names: &[&str]) {
    let store = bench.store().await;
    for (position, name) in (1..).zip(names) {
        let append = Append::new(vec![event(name)]).expect(stream(name), Expected::NO_STREAM);
        let recorded = accept(&store, append.clone()).await;
        assert_eq!(recorded.versions, [(stream(name), Version::new(1))]);
        assert_eq!(recorded.positions.through, Position::new(position));
        let again = Append { events: vec![event(name)], ..append };
        let told = Conflict::Stream { stream: stream(name), expected: Expected::NO_STREAM, actual: Version::new(1) };
        assert_eq!(conflict(refuse(&store, again).await), told);
    }
    for (position, name) in (1..).zip(names) {
        assert_eq!(positions(&store, Query::stream(stream(name))).await, [position], "{name:?}");
        assert_eq!(version(&store, &stream(name)).await, Version::new(1), "{name:?}");
        let found = all_streams(&store, ReadStreams { prefix: (*name).to_owned(), limit: 100, ..ReadStreams::default() }).await;
        assert!(found.iter().any(|summary| summary.name == stream(name)), "{name:?} is not among the streams");
        let of_category = positions(&store, Selector::category(stream(name).category()).into()).await;
        assert!(of_category.contains(&position), "{name:?} is not in its category");
    }
    let all = all_streams(&store, ReadStreams { limit: 3, ..ReadStreams::default() }).await;
    assert!(all.iter().map(|summary| summary.name.as_str()).eq(names.iter().copied()), "the names have changed");
}

pub(super) async fn names_come_back_in_every_script(bench: &Bench<'_>) {
    let longest = "ж".repeat(StreamName::MAX_BYTES / 2);
    let ascii = "n".repeat(StreamName::MAX_BYTES);
    check_names(
        bench,
        &[
            "order-1",
            "заказ-1",
            "注文-1",
            "הזמנה-1",
            "طلب-1",
            "\u{202e}right-to-left",
            "क्षत्रिय-1",
            "주문-1",
            "🎉-👩\u{200d}🚀",
            "-",
            "--",
            "a b",
            "'quoted' \"twice\" \\ back",
            "a/../b",
            "{a:b}",
            &longest,
            &ascii,
        ],
    )
    .await;
}

pub(super) async fn names_that_look_alike_are_different(bench: &Bench<'_>) {
    let prefix = "p".repeat(StreamName::MAX_BYTES - 1);
    let (first, second) = (format!("{prefix}a"), format!("{prefix}b"));
    check_names(
        bench,
        &[
            "cafe\u{301}-1",
            "caf\u{e9}-1",
            "account-1",
            "Account-1",
            "ACCOUNT-1",
            "account-1 ",
            " account-1",
            "account-01",
            "аccount-1",
            "stra\u{df}e",
            "strasse",
            "\u{ff21}-1",
            "A-1",
            "i\u{307}",
            "\u{130}",
            &prefix,
            &first,
            &second,
        ],
    )
    .await;
    let store = bench.store().await;
    let marks = ["reader", "Reader", "reader ", "e\u{301}", "\u{e9}"];
    for (number, name) in (1..).zip(marks) {
        let consumer: ConsumerName = name.parse().expect("the suite's own consumer names are names");
        accept(&store, Append::default().consumed(consumer, Position::new(number))).await;
    }
    for (number, name) in (1..).zip(marks) {
        let mark = store.consumed(name.parse().expect("the suite's own consumer names are names")).await.expect("it can be read");
        assert_eq!(mark, Position::new(number), "{name:?}");
    }
}

pub(super) async fn names_are_never_patterns(bench: &Bench<'_>) {
    let store = bench.store().await;
    let names = ["a%-1", "ab-1", "a_-1", "a*-1", "a.-1", "a\\-1", "a[b]-1", "a?-1"];
    record(&store, names.map(event).to_vec()).await;
    for (position, name) in (1..).zip(names) {
        let prefix = name.trim_end_matches("-1");
        for prefix in [prefix, name] {
            let read = ReadStreams { prefix: prefix.to_owned(), limit: 100, ..ReadStreams::default() };
            let found = all_streams(&store, read).await;
            assert!(found.iter().map(|summary| summary.name.as_str()).eq([name]), "{prefix:?} finds {found:?}");
        }
        let category: Category = prefix.parse().expect("the suite's own categories are names");
        assert_eq!(positions(&store, Selector::category(category).into()).await, [position], "{prefix:?}");
    }
}
