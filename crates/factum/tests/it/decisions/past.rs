//! Loads as of a version, a position or a time.

use std::time::Duration;

use factum::testing::ManualClock;
use factum::{AsOf, Log, MemoryStore, Moment, Position, Repository, Timestamp, Version};

use super::account::{Account, id};

/// Of two accounts, `a` at positions 1, 3 and 5, each an hour after the one before.
async fn an_hour_apart() -> (Log, Repository<Account>) {
    let clock = ManualClock::new(Timestamp::from_micros(0));
    let log = Log::new(MemoryStore::with_clock(clock.clone()));
    let accounts = log.repository::<Account>();
    for (account, cents) in [("a", 1), ("b", 20), ("a", 300), ("b", 4_000), ("a", 50_000)] {
        clock.advance(HOUR);
        accounts.decide(&id(account), |state| state.deposit(cents)).await.unwrap();
    }
    (log, accounts)
}

const HOUR: Duration = Duration::from_secs(3_600);

fn after_hours(hours: u32) -> Timestamp {
    Timestamp::from_micros(0).later(HOUR * hours)
}

async fn check(as_of: AsOf, cents: u64, version: u64, position: u64) {
    let (_, accounts) = an_hour_apart().await;
    let loaded = accounts.load_as_of(&id("a"), as_of).await.unwrap();
    let expected = (cents, Version::new(version), Position::new(position));
    assert_eq!((loaded.state.cents, loaded.version, loaded.position), expected, "{as_of:?}");
}

#[tokio::test]
async fn an_aggregate_as_of_a_version() {
    check(AsOf::Version(Version::EMPTY), 0, 0, 0).await;
    check(AsOf::Version(Version::new(2)), 301, 2, 3).await;
    check(AsOf::Version(Version::new(9)), 50_301, 3, 5).await;
}

#[tokio::test]
async fn an_aggregate_as_of_a_position() {
    check(AsOf::Position(Position::START), 0, 0, 0).await;
    check(AsOf::Position(Position::new(2)), 1, 1, 1).await;
    check(AsOf::Position(Position::new(3)), 301, 2, 3).await;
    check(AsOf::Position(Position::MAX), 50_301, 3, 5).await;
}

#[tokio::test]
async fn an_aggregate_as_of_a_time() {
    check(AsOf::Time(after_hours(1).earlier(Duration::from_micros(1))), 0, 0, 0).await;
    check(AsOf::Time(after_hours(1)), 1, 1, 1).await;
    check(AsOf::Time(after_hours(4)), 301, 2, 3).await;
    check(AsOf::Time(after_hours(9)), 50_301, 3, 5).await;
}

#[tokio::test]
async fn a_boundary_as_of_a_position_or_a_time() {
    let (log, accounts) = an_hour_apart().await;
    let models = || (accounts.model(&id("a")), accounts.model(&id("b")));
    for (moment, cents, position) in [
        (Moment::Position(Position::START), (0, 0), 0),
        (Moment::Position(Position::new(3)), (301, 20), 3),
        (Moment::Position(Position::MAX), (50_301, 4_020), 5),
        (Moment::Time(after_hours(0)), (0, 0), 0),
        (Moment::Time(after_hours(4)), (301, 4_020), 4),
        (Moment::Time(after_hours(9)), (50_301, 4_020), 5),
    ] {
        let loaded = log.load_as_of(models(), moment).await.unwrap();
        let (a, b) = &loaded.models;
        assert_eq!(((a.state.cents, b.state.cents), loaded.position), (cents, Position::new(position)), "{moment:?}");
    }
    let now = log.load(models()).await.unwrap();
    assert_eq!((now.models.0.state.cents, now.position), (50_301, log.head().await.unwrap()));
}
