//! A decision made under a key has its outcome once.

use factum::{EventId, Log, MemoryStore, Position, Query, Read, Scope, Selector, Store};

use super::account::{Account, AccountEvent};

#[tokio::test]
async fn what_is_decided_once_is_answered_with_the_original_and_decided_no_more() {
    let log = Log::new(MemoryStore::new());
    let key = EventId::new();
    let accounts = log.once(key).repository::<Account>();
    let id = "1".to_owned();
    let two = vec![AccountEvent::Deposited { cents: 5 }, AccountEvent::Deposited { cents: 7 }];
    let first = accounts.decide(&id, |_| Ok::<_, ()>(two.clone())).await.unwrap();
    log.repository::<Account>().decide(&id, |_| Ok::<_, ()>(vec![AccountEvent::Deposited { cents: 1 }])).await.unwrap();
    let again = accounts.decide(&id, |_| Err::<Vec<_>, _>("it is not to be decided")).await.unwrap();
    assert_eq!((again.events, again.version, again.appended), (first.events, first.version, first.appended));
    let other = log.once(key).decide((), |()| Err::<Vec<AccountEvent>, _>("nor here")).await.unwrap();
    assert_eq!(other.unwrap().positions.through, Position::new(2));
    assert_eq!(log.head().await.unwrap(), Position::new(3));
    let recorded = log.store().read(Read::new(Query::from(Selector::from(Scope::Event(key))))).await.unwrap();
    assert_eq!(recorded.events.len(), 0, "the key is no id of an event itself");
}
