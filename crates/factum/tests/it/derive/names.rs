//! The names and versions that events are stored under.

use factum::{Event, EventType, Payload, Shape};
use serde::Deserialize;

use super::{AccountEvent, check, opened};

#[test]
fn a_variant_is_stored_under_the_prefix_and_its_name() {
    check(&opened("ann"), "AccountOpened", r#"{"owner":"ann"}"#);
    check(&AccountEvent::Deposited { cents: 5 }, "AccountDeposited", r#"{"cents":5}"#);
}

#[test]
fn a_name_of_its_own_takes_no_prefix() {
    check(&AccountEvent::Closed, "account-closed", "{}");
}

#[test]
fn without_a_prefix_a_variant_is_stored_under_its_own_name() {
    #[derive(Debug, PartialEq, Event)]
    enum Lamp {
        On,
        r#Off,
    }
    check(&Lamp::On, "On", "{}");
    check(&Lamp::Off, "Off", "{}");
}

#[test]
fn a_struct_is_stored_under_its_own_name() {
    #[derive(Debug, PartialEq, Event)]
    struct TemperatureRead {
        celsius: i16,
    }
    check(&TemperatureRead { celsius: -4 }, "TemperatureRead", r#"{"celsius":-4}"#);
}

#[test]
fn a_struct_has_a_name_a_version_and_upcasts_like_a_variant() {
    #[derive(Debug, PartialEq, Event)]
    #[event(name = "started", version = 2)]
    #[event(upcast(1 = StartedV1))]
    struct Started;

    #[derive(Deserialize)]
    struct StartedV1 {}

    impl From<StartedV1> for Started {
        fn from(_: StartedV1) -> Self {
            Self
        }
    }

    check(&Started, "started", "{}");
    assert_eq!(Started.shape().schema, 2);
    assert_eq!(Started::decode("started", 1, &Payload::json(r#"{"by":"ann"}"#)).unwrap(), Some(Started));
}

#[test]
fn every_shape_is_listed_in_the_order_of_the_variants() {
    let shapes =
        [("AccountOpened", 1), ("AccountDeposited", 1), ("AccountWithdrawn", 3), ("AccountMoved", 1), ("account-closed", 1)];
    assert_eq!(AccountEvent::SHAPES, shapes.map(|(event_type, schema)| Shape { event_type, schema }));
}

#[test]
fn the_longest_name_that_compiles_is_the_longest_event_type() {
    #[derive(Event)]
    #[event(
        name = "🌍🌍🌍🌍🌍🌍🌍🌍🌍🌍🌍🌍🌍🌍🌍🌍🌍🌍🌍🌍🌍🌍🌍🌍🌍🌍🌍🌍🌍🌍🌍🌍🌍🌍🌍🌍🌍🌍🌍🌍🌍🌍🌍🌍🌍🌍🌍🌍🌍🌍🌍🌍🌍🌍🌍🌍🌍🌍🌍🌍🌍🌍🌍🌍"
    )]
    struct Turned;
    let name = Turned.shape().name().unwrap();
    assert_eq!(name.as_str().len(), EventType::MAX_BYTES, "one byte more does not compile: ui/name_too_long.rs");
}

#[test]
fn names_of_the_program_do_not_meet_those_of_the_derive() {
    #[derive(Debug, PartialEq, Event)]
    enum Result {
        Ok { schema: u32, payload: Payload, value: u8, r#type: Vec<u8> },
        Err(String),
    }

    #[derive(Debug, PartialEq, serde::Serialize, Deserialize)]
    struct Payload;

    check(
        &Result::Ok { schema: 1, payload: Payload, value: 2, r#type: vec![] },
        "Ok",
        r#"{"schema":1,"payload":null,"value":2,"type":[]}"#,
    );
    check(&Result::Err("no".to_owned()), "Err", r#""no""#);
}
