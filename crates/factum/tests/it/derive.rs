//! `#[derive(Event)]`: what it makes, and what it says when it cannot.

mod data;
mod messages;
mod names;
mod random;
mod reading;
mod set;
mod tags;

use std::fmt;

use factum::{Event, Payload};
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Event)]
#[event(prefix = "Account")]
enum AccountEvent {
    Opened {
        #[event(tag)]
        owner: String,
    },
    Deposited {
        cents: u64,
    },
    #[event(version = 3, upcast(1 = WithdrawnV1, 2 = WithdrawnV2))]
    Withdrawn {
        cents: u64,
        fee: u64,
    },
    Moved(Address),
    #[event(name = "account-closed")]
    Closed,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Address {
    city: String,
}

/// The first version counted whole euros.
#[derive(Deserialize)]
struct WithdrawnV1 {
    euros: u32,
}

/// The second had no fee.
#[derive(Deserialize)]
struct WithdrawnV2 {
    cents: u64,
}

impl From<WithdrawnV1> for WithdrawnV2 {
    fn from(WithdrawnV1 { euros }: WithdrawnV1) -> Self {
        Self { cents: u64::from(euros) * 100 }
    }
}

impl From<WithdrawnV2> for AccountEvent {
    fn from(WithdrawnV2 { cents }: WithdrawnV2) -> Self {
        Self::Withdrawn { cents, fee: 0 }
    }
}

fn opened(owner: &str) -> AccountEvent {
    AccountEvent::Opened { owner: owner.to_owned() }
}

/// The event is stored as this type and data, and read back from them.
#[track_caller]
fn check<E: Event + PartialEq + fmt::Debug>(event: &E, event_type: &str, data: &'static str) {
    let shape = event.shape();
    assert_eq!(shape.event_type, event_type);
    assert_eq!(event.encode().unwrap(), Payload::json(data));
    assert_eq!(E::decode(event_type, shape.schema, &Payload::json(data)).unwrap().as_ref(), Some(event));
}
