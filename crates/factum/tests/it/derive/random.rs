//! Random events and random bytes.

use bytes::Bytes;
use factum::{CodecError, ContentType, Event, Payload};
use proptest::prelude::{Just, Strategy, any, prop_oneof, proptest};
use proptest::prop_assert_eq;

use super::{AccountEvent, Address};

fn event() -> impl Strategy<Value = AccountEvent> {
    prop_oneof![
        any::<String>().prop_map(|owner| AccountEvent::Opened { owner }),
        any::<u64>().prop_map(|cents| AccountEvent::Deposited { cents }),
        any::<(u64, u64)>().prop_map(|(cents, fee)| AccountEvent::Withdrawn { cents, fee }),
        any::<String>().prop_map(|city| AccountEvent::Moved(Address { city })),
        Just(AccountEvent::Closed),
    ]
}

/// An event type: mostly one that is known.
fn event_type() -> impl Strategy<Value = String> {
    let known = AccountEvent::SHAPES.iter().map(|shape| shape.event_type.to_owned()).collect::<Vec<_>>();
    prop_oneof![4 => proptest::sample::select(known), 1 => any::<String>()]
}

/// Data: any bytes, text that looks like JSON, and a whole event with one byte changed.
fn data() -> impl Strategy<Value = Vec<u8>> {
    let spoilt = (event(), any::<usize>(), any::<u8>()).prop_map(|(event, at, byte)| {
        let mut data = event.encode().expect("every account event is JSON").data.to_vec();
        let at = at % data.len();
        data[at] = byte;
        data
    });
    prop_oneof![
        any::<Vec<u8>>(),
        r#"[\[\]{}",:0-9a-z\\ .-]{0,40}"#.prop_map(String::into_bytes),
        (1usize..2000).prop_map(|depth| b"[".repeat(depth)),
        spoilt,
    ]
}

fn content_type() -> impl Strategy<Value = ContentType> {
    prop_oneof![8 => Just("application/json"), 1 => Just("application/cbor")]
        .prop_map(|text| ContentType::new(text).expect("a constant is a name"))
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(event in event()) {
        let shape = event.shape();
        let payload = event.encode().unwrap();
        prop_assert_eq!(AccountEvent::decode(shape.event_type, shape.schema, &payload).unwrap(), Some(event));
    }

    #[test]
    fn whatever_is_stored_is_an_event_or_none_or_the_error_of_the_rules(
        event_type in event_type(),
        schema in prop_oneof![4 => 0u32..6, 1 => any::<u32>()],
        content_type in content_type(),
        data in data(),
    ) {
        let shape = AccountEvent::SHAPES.iter().find(|shape| shape.event_type == event_type);
        let is_json = content_type.is_json();
        let payload = Payload { content_type, data: Bytes::from(data) };
        let decoded = AccountEvent::decode(&event_type, schema, &payload);
        let is_as_ruled = match shape {
            None => matches!(decoded, Ok(None)),
            Some(shape) if schema == 0 || shape.schema < schema => matches!(decoded, Err(CodecError::UnknownSchema { .. })),
            Some(_) if !is_json => matches!(decoded, Err(CodecError::ContentType { .. })),
            Some(shape) => match decoded {
                Ok(Some(event)) => event.shape() == *shape,
                Err(CodecError::Decode { schema: told, .. }) => told == schema,
                _ => false,
            },
        };
        proptest::prop_assert!(is_as_ruled, "{event_type} {schema} {payload:?}");
    }
}
