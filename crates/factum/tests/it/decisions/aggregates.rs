//! What a command to an aggregate records, and what it cannot.

use std::convert::Infallible;

use factum::{
    Aggregate, Append, CodecError, DecideError, EventId, LoadError, Log, MemoryStore, Metadata, NameError, NewEvent, Payload,
    Query, Read, RecordedEvent, Repository, Tag, Version,
};

use super::account::{Account, AccountEvent, InsufficientFunds, Withdraw, deposited, id, opened};
use super::stubborn::foreign;

async fn recorded(log: &Log) -> Vec<RecordedEvent> {
    log.read(Read::new(Query::all())).next().await.unwrap().unwrap().events
}

#[tokio::test]
async fn a_decision_is_recorded_in_the_aggregates_stream_with_its_tag() {
    let log = Log::new(MemoryStore::new());
    let accounts = log.repository::<Account>();
    let decided = accounts.decide(&id("42"), |_| Ok::<_, Infallible>(vec![opened(), deposited(50)])).await.unwrap();
    assert_eq!((decided.events, decided.version), (vec![opened(), deposited(50)], Version::new(2)));
    let events = recorded(&log).await;
    assert_eq!(decided.appended.unwrap().positions.through, events[1].position);
    for event in &events {
        assert_eq!((event.stream.as_str(), &event.tags[..]), ("account-42", &[Tag::new("account:42").unwrap()][..]));
    }
    assert_eq!(events[1].decode::<AccountEvent>().unwrap(), Some(deposited(50)));
}

#[tokio::test]
async fn an_aggregate_without_events_is_empty() {
    let loaded = Log::new(MemoryStore::new()).repository::<Account>().load(&id("42")).await.unwrap();
    assert_eq!((loaded.state, loaded.version), (Account::default(), Version::EMPTY));
}

#[tokio::test]
async fn a_command_as_data_is_executed_like_a_closure() {
    let accounts = Log::new(MemoryStore::new()).repository::<Account>();
    accounts.decide(&id("42"), |account| account.deposit(50)).await.unwrap();
    let decided = accounts.execute(&id("42"), Withdraw { cents: 30 }).await.unwrap();
    assert_eq!((decided.events, decided.version), (vec![AccountEvent::Withdrawn { cents: 30 }], Version::new(2)));
}

#[tokio::test]
async fn a_rejection_keeps_its_type_and_records_nothing() {
    let log = Log::new(MemoryStore::new());
    let error = log.repository::<Account>().execute(&id("42"), Withdraw { cents: 30 }).await.unwrap_err();
    assert_eq!(error.to_string(), "30 cents missing");
    assert!(matches!(error, DecideError::Rejected(InsufficientFunds { missing: 30 })));
    assert!(recorded(&log).await.is_empty());
}

#[tokio::test]
async fn a_decision_that_there_is_nothing_to_do_appends_nothing() {
    let log = Log::new(MemoryStore::new());
    let accounts = log.repository::<Account>();
    accounts.decide(&id("42"), |account| account.deposit(50)).await.unwrap();
    let decided = accounts.decide(&id("42"), |account| account.deposit(0)).await.unwrap();
    assert_eq!((decided.events, decided.version, decided.appended), (vec![], Version::new(1), None));
    assert_eq!(recorded(&log).await.len(), 1);
}

#[tokio::test]
async fn a_stream_longer_than_a_page_is_loaded_whole() {
    let log = Log::new(MemoryStore::new());
    let events = (0..2 * Read::USUAL_LIMIT + 1).map(|_| foreign("account-42", "AccountDeposited", r#"{"cents":3}"#));
    log.append(Append::new(events.collect())).await.unwrap();
    let loaded = log.repository::<Account>().load(&id("42")).await.unwrap();
    assert_eq!((loaded.state.cents, loaded.version), (6_003, Version::new(2_001)));
    assert_eq!(loaded.position, log.head().await.unwrap());
}

#[tokio::test]
async fn metadata_of_the_handle_goes_on_every_event_and_the_events_own_wins() {
    let log = Log::new(MemoryStore::new()).with(Metadata::default().actor("ann").header("tenant", "eu"));
    log.repository::<Account>().decide(&id("42"), |account| account.deposit(50)).await.unwrap();
    let cause = recorded(&log).await.remove(0);
    assert_eq!(cause.metadata, Metadata::default().actor("ann").header("tenant", "eu"));

    let effects = log.with(Metadata::caused_by(&cause).header("tenant", "us"));
    effects.repository::<Account>().decide(&id("42"), |account| account.deposit(50)).await.unwrap();
    let by_repository = effects.repository::<Account>().with(Metadata::default().actor("bob"));
    by_repository.decide(&id("42"), |account| account.deposit(50)).await.unwrap();
    let own = EventId::new();
    let mut event = foreign("account-42", "AccountDeposited", r#"{"cents":1}"#);
    event.metadata = Metadata::default().causation_id(own);
    effects.append(Append::new(vec![event])).await.unwrap();

    let caused = Metadata::caused_by(&cause).actor("ann").header("tenant", "us");
    let metadata: Vec<_> = recorded(&log).await.into_iter().skip(1).map(|event| event.metadata).collect();
    assert_eq!(metadata, [caused.clone(), caused.clone().actor("bob"), caused.causation_id(own)]);
}

#[tokio::test]
async fn an_event_of_an_unknown_type_is_handed_over_and_counts() {
    let log = Log::new(MemoryStore::new());
    log.append(Append::new(vec![foreign("account-42", "AccountFrozen", "{}")])).await.unwrap();
    let accounts = log.repository::<Account>();
    assert_eq!(accounts.load(&id("42")).await.unwrap().state.unknown, 1);
    let decided = accounts.decide(&id("42"), |account| account.deposit(50)).await.unwrap();
    assert_eq!(decided.version, Version::new(2));
}

#[tokio::test]
async fn an_event_that_cannot_be_read_stops_with_its_reason() {
    let log = Log::new(MemoryStore::new());
    log.append(Append::new(vec![foreign("account-42", "AccountDeposited", r#"{"cents":"many"}"#)])).await.unwrap();
    let accounts = log.repository::<Account>();
    let error = accounts.load(&id("42")).await.unwrap_err();
    assert!(matches!(error, LoadError::Codec(CodecError::Decode { .. })), "{error:?}");
    let error = accounts.decide(&id("42"), |account| account.deposit(50)).await.unwrap_err();
    assert!(matches!(error, DecideError::Codec(CodecError::Decode { .. })), "{error:?}");
}

#[tokio::test]
async fn an_id_that_makes_no_name_is_refused_before_anything_is_recorded() {
    let log = Log::new(MemoryStore::new());
    let accounts = log.repository::<Account>();
    for refused in ["", "a\nb", &"x".repeat(2_000)] {
        let error = accounts.decide(&id(refused), |account| account.deposit(50)).await.unwrap_err();
        assert!(matches!(error, DecideError::Name(_)), "{error:?}");
    }
    let error = accounts.load(&id("a\nb")).await.unwrap_err();
    assert!(matches!(error, LoadError::Name(NameError::ControlCharacter { .. })), "{error:?}");
    assert!(recorded(&log).await.is_empty());
}

#[tokio::test]
async fn events_too_large_for_any_store_are_refused() {
    let accounts = Log::new(MemoryStore::new()).repository::<Account>();
    let owner = "x".repeat(factum::limits::EVENT_BYTES_MAX);
    let opened = |_: &Account| Ok::<_, Infallible>(vec![AccountEvent::Opened { owner: owner.clone() }]);
    let error = accounts.decide(&id("42"), opened).await.unwrap_err();
    assert!(matches!(error, DecideError::Refused(_)), "{error:?}");
}

#[test]
fn the_stream_of_an_aggregate_is_its_category_and_its_id() {
    assert_eq!(Repository::<Account>::stream(&id("42-eu")).unwrap().as_str(), "account-42-eu");
    assert_eq!(Repository::<Account>::stream(&id("счёт")).unwrap().category().as_str(), Account::CATEGORY);
}

#[tokio::test]
async fn a_tag_that_the_event_has_itself_is_not_repeated() {
    #[derive(factum::Event)]
    struct Moved {
        #[event(tag)]
        parcel: u32,
        #[event(tag)]
        depot: u32,
    }
    #[derive(Clone, Default)]
    struct Parcel;
    impl Aggregate for Parcel {
        const CATEGORY: &'static str = "parcel";
        type Id = u32;
        type Event = Moved;
        fn apply(&mut self, _event: &Moved) {}
    }
    let log = Log::new(MemoryStore::new());
    let moved = |_: &Parcel| Ok::<_, Infallible>(vec![Moved { parcel: 7, depot: 1 }]);
    log.repository::<Parcel>().decide(&7, moved).await.unwrap();
    let tags: Vec<_> = recorded(&log).await[0].tags.iter().map(ToString::to_string).collect();
    assert_eq!(tags, ["parcel:7", "depot:1"]);
}

#[tokio::test]
async fn pages_go_on_where_the_last_one_ended() {
    let log = Log::new(MemoryStore::new());
    let event = || NewEvent::new("a-1".parse().unwrap(), "A", Payload::json("{}")).unwrap();
    log.append(Append::new((0..5).map(|_| event()).collect())).await.unwrap();
    let mut pages = log.read(Read::new(Query::all()).limit(2).backward());
    let mut positions = Vec::new();
    while let Some(page) = pages.next().await.unwrap() {
        positions.push(page.events.iter().map(|event| event.position.get()).collect::<Vec<_>>());
    }
    assert_eq!(positions, [vec![5, 4], vec![3, 2], vec![1]]);
}
