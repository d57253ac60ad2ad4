//! Expectations of streams: one writer gets a version, the others are told the actual one.

use super::bench::Bench;
use super::builders::{accept, conflict, event, events, everything, race_appends, record, refuse, stream, version, won};
use crate::{Append, AppendError, Appended, Conflict, Expected, Query, Version};

/// How often a race is run.
const ROUNDS: u64 = 20;
/// How many race for one thing.
const RACERS: usize = 8;

pub(super) async fn each_expectation_holds_or_conflicts_as_it_says(bench: &Bench<'_>) {
    let exact = |version| Expected::Exact(Version::new(version));
    // What is expected, whether an empty stream is so, whether a stream at version 3 is so.
    let table = [
        (Expected::Any, true, true),
        (Expected::NO_STREAM, true, false),
        (exact(2), false, false),
        (exact(3), false, true),
        (exact(4), false, false),
        (Expected::Exact(Version::MAX), false, false),
        (Expected::Exists, false, true),
    ];
    for (expected, of_empty, of_three) in table {
        for (holds, actual) in [(of_empty, Version::EMPTY), (of_three, Version::new(3))] {
            let store = bench.store().await;
            record(&store, events("expected-other", 2)).await;
            if Version::EMPTY < actual {
                record(&store, events("expected-a", 3)).await;
            }
            let name = stream("expected-a");
            let append = Append::new(vec![event("expected-a")]).expect(name.clone(), expected);
            if holds {
                assert_eq!(accept(&store, append).await.versions, [(name, actual.next())]);
            } else {
                let told = conflict(refuse(&store, append).await);
                assert_eq!(told, Conflict::Stream { stream: name.clone(), expected, actual });
                assert_eq!(version(&store, &name).await, actual);
            }
        }
    }
}

pub(super) async fn an_expectation_may_be_of_a_stream_that_is_not_written(bench: &Bench<'_>) {
    let store = bench.store().await;
    record(&store, events("expected-seen", 2)).await;
    let (seen, new) = (stream("expected-seen"), stream("expected-new"));
    let write = || Append::new(vec![event("expected-a")]);
    for (name, expected, actual) in [
        (&seen, Expected::NO_STREAM, 2),
        (&seen, Expected::Exact(Version::new(1)), 2),
        (&new, Expected::Exists, 0),
        (&new, Expected::Exact(Version::new(1)), 0),
    ] {
        let told = conflict(refuse(&store, write().expect(name.clone(), expected)).await);
        assert_eq!(told, Conflict::Stream { stream: name.clone(), expected, actual: Version::new(actual) });
    }
    let two = Expected::Exact(Version::new(2));
    for _ in 0..2 {
        // It holds again: an expectation changes nothing.
        accept(&store, write().expect(seen.clone(), two).expect(new.clone(), Expected::NO_STREAM)).await;
    }
    assert_eq!(version(&store, &seen).await, Version::new(2), "an expectation moved a version");
    assert_eq!(version(&store, &new).await, Version::EMPTY, "an expectation made a stream");
}

pub(super) async fn the_first_expectation_that_fails_is_reported(bench: &Bench<'_>) {
    let store = bench.store().await;
    record(&store, events("expected-b", 2)).await;
    record(&store, events("expected-a", 1)).await;
    let (a, b, c) = (stream("expected-a"), stream("expected-b"), stream("expected-c"));
    let one = Expected::Exact(Version::new(1));
    let failing_b = Conflict::Stream { stream: b.clone(), expected: one, actual: Version::new(2) };
    let failing_c = Conflict::Stream { stream: c.clone(), expected: Expected::Exists, actual: Version::EMPTY };
    let write = || Append::new(vec![event("expected-c"), event("expected-a")]).expect(a.clone(), one);
    let b_first = write().expect(b.clone(), one).expect(c.clone(), Expected::Exists);
    assert_eq!(conflict(refuse(&store, b_first).await), failing_b);
    let c_first = write().expect(c.clone(), Expected::Exists).expect(b.clone(), one);
    assert_eq!(conflict(refuse(&store, c_first).await), failing_c);
    let with_condition = write().expect(b, one).condition(Query::all(), crate::Position::START);
    assert_eq!(conflict(refuse(&store, with_condition).await), failing_b, "expectations come before the condition");
}

pub(super) async fn of_writers_that_race_for_one_version_one_wins(bench: &Bench<'_>) {
    let store = bench.store().await;
    let name = stream("expected-raced");
    for round in 0..ROUNDS {
        let expected = Expected::Exact(Version::new(round));
        let racer = || Append::new(vec![event("expected-raced")]).expect(name.clone(), expected);
        let answers = race_appends(&store, (0..RACERS).map(|_| racer())).await;
        check_one_winner(&answers, Version::new(round + 1));
        assert_eq!(version(&store, &name).await, Version::new(round + 1), "round {round}");
    }
    assert_eq!(everything(&store).await.len() as u64, ROUNDS);
}

pub(super) async fn of_writers_that_create_one_stream_one_wins(bench: &Bench<'_>) {
    let store = bench.store().await;
    for round in 0..ROUNDS {
        let name = format!("expected-{round}");
        let racer = || Append::new(events(&name, 2)).expect(stream(&name), Expected::NO_STREAM);
        let answers = race_appends(&store, (0..RACERS).map(|_| racer())).await;
        check_one_winner(&answers, Version::new(2));
        assert_eq!(version(&store, &stream(&name)).await, Version::new(2), "a stream was made twice");
    }
}

/// One racer's append is recorded, at this version; the others are told so.
fn check_one_winner(answers: &[Result<Appended, AppendError>], version: Version) {
    let winners: Vec<&Appended> = answers.iter().filter(|answer| won(answer)).flatten().collect();
    assert_eq!(winners.len(), 1, "of {} racers these won: {winners:?}", answers.len());
    assert_eq!(winners[0].versions[0].1, version);
    for answer in answers {
        if let Err(AppendError::Conflict(Conflict::Stream { actual, .. })) = answer {
            assert_eq!(*actual, version, "a loser is told another version than the winner made");
        }
    }
}

pub(super) async fn writers_that_expect_each_others_streams_cannot_both_win(bench: &Bench<'_>) {
    let store = bench.store().await;
    for round in 0..ROUNDS {
        let (left, right) = (format!("left-{round}"), format!("right-{round}"));
        let write = |written: &str, other: &str| Append::new(vec![event(written)]).expect(stream(other), Expected::NO_STREAM);
        let answers = race_appends(&store, [write(&left, &right), write(&right, &left)]).await;
        let winners = answers.iter().filter(|answer| won(answer)).count();
        assert_eq!(winners, 1, "each of two writers expected that the other had not written");
    }
}
