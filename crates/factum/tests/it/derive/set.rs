//! A set of events: an enum over several of them.

use factum::{Event, EventSet, Payload, Query, Selector};

use super::AccountEvent;

#[derive(Debug, Clone, PartialEq, Event)]
struct OrderPlaced {
    #[event(tag)]
    order: u32,
}

#[derive(Debug, Clone, PartialEq, Event)]
#[event(set)]
enum Inner {
    Placed(OrderPlaced),
}

#[derive(Debug, Clone, PartialEq, Event)]
#[event(set)]
enum Set {
    Account(AccountEvent),
    Order(Inner),
}

#[test]
fn a_set_is_stored_and_read_as_each_of_its_events() {
    let placed = Set::Order(Inner::Placed(OrderPlaced { order: 7 }));
    assert_eq!(placed.shape(), OrderPlaced { order: 7 }.shape());
    assert_eq!(placed.tags().unwrap()[0].as_str(), "order:7");
    assert_eq!(Set::decode("OrderPlaced", 1, &placed.encode().unwrap()).unwrap(), Some(placed));
    let withdrawn = Set::decode("AccountWithdrawn", 1, &Payload::json(r#"{"euros":3}"#)).unwrap();
    assert_eq!(withdrawn, Some(Set::Account(AccountEvent::Withdrawn { cents: 300, fee: 0 })));
    assert_eq!(Set::decode("Other", 1, &Payload::json("{}")).unwrap(), None);
    assert!(Set::decode("OrderPlaced", 1, &Payload::json("{}")).is_err());
}

#[test]
fn a_set_selects_the_types_of_all_of_its_events() {
    let types = ["AccountOpened", "AccountDeposited", "AccountWithdrawn", "AccountMoved", "account-closed", "OrderPlaced"];
    let event_types = types.map(|name| name.parse().unwrap()).into();
    assert_eq!(Set::query().unwrap(), Query::from(Selector { event_types, ..Selector::default() }));
}
