//! What is read back from what is stored.

use std::error::Error;

use factum::{CodecError, ContentType, Event, NewEvent, Payload, Position, RecordedEvent, StreamName, Version};

use super::{AccountEvent, opened};

fn decode(event_type: &str, schema: u32, data: &'static str) -> Result<Option<AccountEvent>, CodecError> {
    AccountEvent::decode(event_type, schema, &Payload::json(data))
}

#[test]
fn an_event_type_of_others_is_none_whatever_its_data() {
    for event_type in ["", "AccountFrozen", "Opened", "accountopened", "AccountClosed"] {
        assert!(decode(event_type, 0, "no JSON").unwrap().is_none(), "{event_type}");
    }
}

#[test]
fn each_older_schema_is_upcast_by_every_step_after_it() {
    let withdrawn = |cents, fee| Some(AccountEvent::Withdrawn { cents, fee });
    assert_eq!(decode("AccountWithdrawn", 1, r#"{"euros":3}"#).unwrap(), withdrawn(300, 0));
    assert_eq!(decode("AccountWithdrawn", 2, r#"{"cents":3}"#).unwrap(), withdrawn(3, 0));
    assert_eq!(decode("AccountWithdrawn", 3, r#"{"cents":3,"fee":1}"#).unwrap(), withdrawn(3, 1));
}

#[test]
fn a_schema_that_is_not_known_is_an_error_even_where_the_data_would_fit() {
    for schema in [0, 4, u32::MAX] {
        let error = decode("AccountWithdrawn", schema, r#"{"cents":3,"fee":1}"#).unwrap_err();
        let CodecError::UnknownSchema { event_type, schema: actual, known } = error else { panic!("{error:?}") };
        assert_eq!((event_type, actual, known), ("AccountWithdrawn", schema, 3));
    }
}

#[test]
fn another_content_type_is_an_error_that_names_both() {
    let cbor = ContentType::new("application/cbor").unwrap();
    let payload = Payload { content_type: cbor, data: r#"{"cents":5}"#.into() };
    let error = AccountEvent::decode("AccountDeposited", 1, &payload).unwrap_err();
    assert!(matches!(error, CodecError::ContentType { .. }), "{error:?}");
    let told = "cannot read AccountDeposited: it is stored as application/cbor, and this program reads application/json";
    assert_eq!(error.to_string(), told);
}

#[test]
fn a_newer_schema_is_told_before_its_content_type() {
    let payload = Payload { content_type: ContentType::new("application/cbor").unwrap(), data: "".into() };
    let error = AccountEvent::decode("AccountDeposited", 2, &payload).unwrap_err();
    assert!(matches!(error, CodecError::UnknownSchema { .. }), "{error:?}");
}

#[test]
fn data_of_the_wrong_shape_is_an_error_with_its_reason() {
    let cases = [
        ("AccountDeposited", 1, "", "EOF while parsing"),
        ("AccountDeposited", 1, "{}", "missing field `cents`"),
        ("AccountDeposited", 1, r#"{"cents":-5}"#, "invalid value: integer `-5`"),
        ("AccountDeposited", 1, r#""five""#, "expected AccountDeposited"),
        ("AccountDeposited", 1, r#"{"cents":5} more"#, "trailing characters"),
        ("AccountWithdrawn", 1, r#"{"cents":5}"#, "missing field `euros`"),
        ("AccountMoved", 1, "{}", "missing field `city`"),
        ("account-closed", 1, "null", "expected account-closed"),
    ];
    for (event_type, schema, data, reason) in cases {
        let error = decode(event_type, schema, data).unwrap_err();
        assert!(matches!(&error, CodecError::Decode { event_type: e, schema: s, .. } if *e == event_type && *s == schema));
        let source = error.source().unwrap().to_string();
        assert!(source.contains(reason), "{event_type} {data}: {source}");
    }
}

#[test]
fn fields_that_no_shape_has_are_ignored() {
    let deposited = decode("AccountDeposited", 1, r#"{"cents":5,"by":{"name":"ann"}}"#).unwrap();
    assert_eq!(deposited, Some(AccountEvent::Deposited { cents: 5 }));
    assert_eq!(decode("account-closed", 1, r#"{"by":"ann"}"#).unwrap(), Some(AccountEvent::Closed));
}

#[test]
fn a_missing_field_takes_its_default_where_it_has_one() {
    #[derive(Debug, PartialEq, Event)]
    struct Rated {
        #[serde(default = "three")]
        stars: u8,
    }
    fn three() -> u8 {
        3
    }
    assert_eq!(Rated::decode("Rated", 1, &Payload::json("{}")).unwrap(), Some(Rated { stars: 3 }));
}

#[test]
fn a_recorded_event_is_decoded_by_its_type_and_schema() {
    let stream = StreamName::new("account-1").unwrap();
    let record = |event_type, payload| {
        let new = NewEvent::new(stream.clone(), event_type, payload).unwrap();
        RecordedEvent::record(new, Position::new(1), Version::new(1), "2026-07-01T12:00:00Z".parse().unwrap())
    };
    let recorded = record("AccountOpened", opened("ann").encode().unwrap());
    assert_eq!(recorded.decode::<AccountEvent>().unwrap(), Some(opened("ann")));
    assert_eq!(record("CourseAdded", Payload::json("{}")).decode::<AccountEvent>().unwrap(), None);
}
