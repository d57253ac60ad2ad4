//! Deciders that race, and stores that fail half way.

use factum::{ATTEMPTS_MAX, Append, Conflict, DecideError, Log, Position, REPEATS_MAX, StoreErrorKind, Version};

use super::account::{Account, InsufficientFunds, deposited, id};
use super::stubborn::{Answer, Stubborn, foreign};

const DEPOSIT: &str = r#"{"cents":1}"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn racing_deciders_lose_no_update() {
    let store = Stubborn::default();
    store.meet_after_reading(8);
    let accounts = Log::new(store.clone()).repository::<Account>();
    let deposit = |cents| {
        let accounts = accounts.clone();
        tokio::spawn(async move { accounts.decide(&id("1"), |account| account.deposit(cents)).await.unwrap() })
    };
    let racers: Vec<_> = (0..8).map(|n| deposit(10_u64.pow(n))).collect();
    for racer in racers {
        racer.await.unwrap();
    }
    let loaded = accounts.load(&id("1")).await.unwrap();
    assert_eq!((loaded.state.cents, loaded.version), (11_111_111, Version::new(8)));
    assert!(8 < store.appends().len(), "all had seen the empty stream, so all but one had to decide again");
}

#[tokio::test]
async fn a_retry_decides_on_what_the_other_writer_left() {
    let store = Stubborn::default();
    let accounts = Log::new(store.clone()).repository::<Account>();
    accounts.decide(&id("1"), |account| account.deposit(50)).await.unwrap();
    store.before_appends([foreign("account-1", "AccountWithdrawn", r#"{"cents":30}"#)]);
    let mut seen = Vec::new();
    let withdraw = |account: &Account| {
        seen.push(account.cents);
        account.withdraw(30)
    };
    assert!(matches!(accounts.decide(&id("1"), withdraw).await, Err(DecideError::Rejected(InsufficientFunds { missing: 10 }))));
    assert_eq!(seen, [50, 20]);
}

#[tokio::test]
async fn a_retry_has_new_event_ids() {
    let store = Stubborn::default();
    store.before_appends([foreign("account-1", "AccountDeposited", DEPOSIT)]);
    let accounts = Log::new(store.clone()).repository::<Account>();
    let decided = accounts.decide(&id("1"), |account| account.deposit(5)).await.unwrap();
    let [first, second] = &store.appends()[..] else { panic!("one conflict, so two appends") };
    assert_ne!(first.events[0].id, second.events[0].id);
    assert_eq!(decided.version, Version::new(2));
}

#[tokio::test]
async fn a_race_that_is_always_lost_ends_and_tells_the_last_conflict() {
    let store = Stubborn::default();
    store.before_appends((0..100).map(|_| foreign("account-1", "AccountDeposited", DEPOSIT)));
    let accounts = Log::new(store.clone()).repository::<Account>();
    let error = accounts.decide(&id("1"), |account| account.deposit(5)).await.unwrap_err();
    let DecideError::Conflict { conflict: Conflict::Stream { actual, .. }, attempts } = error else { panic!("{error}") };
    assert_eq!((attempts, actual), (ATTEMPTS_MAX, Version::new(ATTEMPTS_MAX.into())));
    assert_eq!(store.appends().len(), ATTEMPTS_MAX as usize);
}

#[tokio::test]
async fn an_append_of_unknown_outcome_is_repeated_with_the_same_event_ids() {
    for answer in [Answer::Recorded(StoreErrorKind::UnknownOutcome), Answer::Lost(StoreErrorKind::UnknownOutcome)] {
        let store = Stubborn::default();
        store.answer([answer]);
        let accounts = Log::new(store.clone()).repository::<Account>();
        let decided = accounts.decide(&id("1"), |account| account.deposit(5)).await.unwrap();
        let [first, second] = &store.appends()[..] else { panic!("one repeat, so two appends") };
        assert_eq!(first, second);
        assert_eq!(decided.version, Version::new(1));
        assert_eq!(accounts.load(&id("1")).await.unwrap().state.cents, 5, "once, though it was sent twice");
    }
}

#[tokio::test]
async fn an_outcome_that_stays_unknown_is_reported_as_such() {
    let store = Stubborn::default();
    store.answer([Answer::Lost(StoreErrorKind::UnknownOutcome); 100]);
    let accounts = Log::new(store.clone()).repository::<Account>();
    let error = accounts.decide(&id("1"), |account| account.deposit(5)).await.unwrap_err();
    assert!(matches!(&error, DecideError::Store(error) if error.kind() == StoreErrorKind::UnknownOutcome), "{error:?}");
    assert_eq!(store.appends().len(), 1 + REPEATS_MAX as usize);
}

#[tokio::test]
async fn an_unknown_outcome_stays_unknown_when_the_store_fails_after_it() {
    for later in [StoreErrorKind::Closed, StoreErrorKind::Full, StoreErrorKind::Unavailable] {
        let store = Stubborn::default();
        store.answer([Answer::Recorded(StoreErrorKind::UnknownOutcome)].into_iter().chain([Answer::Lost(later); 100]));
        let accounts = Log::new(store).repository::<Account>();
        let error = accounts.decide(&id("1"), |account| account.deposit(5)).await.unwrap_err();
        assert!(matches!(&error, DecideError::Store(error) if error.kind() == StoreErrorKind::UnknownOutcome), "{error:?}");
    }
}

#[tokio::test]
async fn a_failure_that_no_repeat_mends_is_reported_at_once() {
    let store = Stubborn::default();
    store.answer([Answer::Lost(StoreErrorKind::Full)]);
    let accounts = Log::new(store.clone()).repository::<Account>();
    let error = accounts.decide(&id("1"), |account| account.deposit(5)).await.unwrap_err();
    assert!(matches!(&error, DecideError::Store(error) if error.kind() == StoreErrorKind::Full), "{error:?}");
    assert_eq!((store.appends().len(), accounts.load(&id("1")).await.unwrap().version), (1, Version::EMPTY));
}

#[tokio::test]
async fn a_log_repeats_a_raw_append_too() {
    let store = Stubborn::default();
    store.answer([Answer::Recorded(StoreErrorKind::UnknownOutcome), Answer::Lost(StoreErrorKind::Unavailable)]);
    let log = Log::new(store);
    let appended = log.append(Append::new(vec![foreign("account-1", "AccountDeposited", DEPOSIT)])).await.unwrap();
    assert_eq!(appended.positions.through, Position::new(1));
    assert_eq!(log.head().await.unwrap(), Position::new(1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_racing_transfer_never_overdraws() {
    let store = Stubborn::default();
    let log = Log::new(store.clone());
    let accounts = log.repository::<Account>();
    accounts.decide(&id("a"), |account| account.deposit(50)).await.unwrap();
    store.meet_after_reading(6);
    let transfer = |to: &str| {
        let (log, models) = (log.clone(), (accounts.model(&id("a")), accounts.model(&id(to))));
        tokio::spawn(async move {
            let transferred = log.decide(models, |(from, to)| {
                let withdrawn = from.state.withdraw(20)?;
                Ok::<_, InsufficientFunds>([from.draft(&withdrawn[0]), to.draft(&deposited(20))])
            });
            transferred.await
        })
    };
    let racers: Vec<_> = ["b", "c", "b", "c", "b", "c"].map(transfer).into_iter().collect();
    let mut refused = 0;
    for racer in racers {
        match racer.await.unwrap() {
            Ok(appended) => assert_eq!(appended.unwrap().versions.len(), 2),
            Err(DecideError::Rejected(InsufficientFunds { missing: 10 })) => refused += 1,
            Err(error) => panic!("{error:?}"),
        }
    }
    let mut cents = Vec::new();
    for account in ["a", "b", "c"] {
        cents.push(accounts.load(&id(account)).await.unwrap().state.cents);
    }
    assert_eq!((refused, cents[0], cents[1] + cents[2]), (4, 10, 40));
}
