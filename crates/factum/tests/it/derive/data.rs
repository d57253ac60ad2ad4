//! The data of events: fields as `serde` has them, by a codec.

use std::collections::BTreeMap;
use std::error::Error;

use bytes::Bytes;
use factum::{Codec, CodecError, CodecSource, ContentType, Event, Json};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{AccountEvent, Address, check};

#[test]
fn an_unnamed_field_is_all_of_the_data() {
    check(&AccountEvent::Moved(Address { city: "Oslo".to_owned() }), "AccountMoved", r#"{"city":"Oslo"}"#);

    #[derive(Debug, PartialEq, Event)]
    struct Renamed(String);
    check(&Renamed("ann".to_owned()), "Renamed", r#""ann""#);
}

#[test]
fn an_event_without_fields_is_an_empty_object() {
    #[derive(Debug, PartialEq, Event)]
    enum Door {
        Opened,
        Closed {},
        Locked(),
    }
    check(&Door::Opened, "Opened", "{}");
    check(&Door::Closed {}, "Closed", "{}");
    check(&Door::Locked(), "Locked", "{}");
}

#[test]
fn attributes_of_serde_on_fields_are_followed() {
    #[derive(Debug, PartialEq, Event)]
    enum Sensor {
        Read {
            #[serde(rename = "degreesCelsius")]
            celsius: i16,
            #[serde(with = "hex")]
            serial: u32,
            #[serde(default, skip_serializing_if = "Option::is_none")]
            note: Option<String>,
            #[serde(flatten)]
            more: BTreeMap<String, u8>,
            #[serde(skip)]
            cached: u8,
        },
        Named(#[serde(with = "hex")] u32),
    }

    let read = |note, more| Sensor::Read { celsius: 21, serial: 0xfee, note, more, cached: 0 };
    check(&read(None, BTreeMap::new()), "Read", r#"{"degreesCelsius":21,"serial":"fee"}"#);
    check(
        &read(Some("warm".to_owned()), [("x".to_owned(), 1)].into()),
        "Read",
        r#"{"degreesCelsius":21,"serial":"fee","note":"warm","x":1}"#,
    );
    check(&Sensor::Named(0xbee), "Named", r#""bee""#);
}

/// A number as a text of its hexadecimal digits.
mod hex {
    use serde::de::Error;

    use super::{Deserialize, Deserializer, Serializer};

    // The signature is what `serde(with)` calls.
    pub(super) fn serialize<S: Serializer>(number: &u32, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{number:x}"))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
        u32::from_str_radix(&String::deserialize(deserializer)?, 16).map_err(D::Error::custom)
    }
}

#[test]
fn an_event_may_be_serde_s_as_well() {
    #[derive(Debug, PartialEq, Event, Serialize, Deserialize)]
    enum Order {
        Placed {
            #[serde(rename = "itemCount")]
            items: u32,
        },
    }
    let placed = Order::Placed { items: 2 };
    check(&placed, "Placed", r#"{"itemCount":2}"#);
    assert_eq!(serde_json::to_string(&placed).unwrap(), r#"{"Placed":{"itemCount":2}}"#);
}

#[test]
fn data_that_cannot_be_written_is_an_error_with_its_reason() {
    #[derive(Event)]
    struct Charted {
        cells: BTreeMap<(u8, u8), u8>,
    }
    let error = Charted { cells: [((0, 0), 1)].into() }.encode().unwrap_err();
    assert!(matches!(error, CodecError::Encode { event_type: "Charted", schema: 1, .. }), "{error:?}");
    assert!(error.source().unwrap().to_string().contains("key must be a string"), "{error:?}");
}

#[test]
fn a_codec_of_the_users_writes_and_reads() {
    #[derive(Debug, PartialEq, Event)]
    #[event(prefix = "Door", codec = Reversed)]
    enum Door {
        Opened { by: u8 },
    }
    #[derive(Debug, PartialEq, Event)]
    #[event(codec = self::Reversed)]
    struct Rang;

    let payload = Door::Opened { by: 7 }.encode().unwrap();
    assert_eq!((payload.content_type.as_str(), &payload.data[..]), ("text/reversed", &b"}7:\"yb\"{"[..]));
    assert_eq!(Door::decode("DoorOpened", 1, &payload).unwrap(), Some(Door::Opened { by: 7 }));
    assert_eq!(Rang::decode("Rang", 1, &Rang.encode().unwrap()).unwrap(), Some(Rang));
}

/// JSON, backwards.
struct Reversed;

impl Codec for Reversed {
    fn content_type() -> ContentType {
        ContentType::new("text/reversed").expect("a constant is a name")
    }

    fn encode<T: Serialize>(value: &T) -> Result<Bytes, CodecSource> {
        Ok(Json::encode(value)?.iter().rev().copied().collect())
    }

    fn decode<T: DeserializeOwned>(data: &[u8]) -> Result<T, CodecSource> {
        let data: Vec<u8> = data.iter().rev().copied().collect();
        Json::decode(&data)
    }
}
