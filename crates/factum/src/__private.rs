//! What the code of `#[derive(Event)]` calls, and what other crates of the project do. It is no part of the interface.

use std::fmt::Display;

pub use serde;
use serde::Serialize;
use serde::de::DeserializeOwned;

pub use crate::projection::failure::guarded;
use crate::{Codec, CodecError, NameError, Payload, Shape, Tag};

/// Writes an event's data.
pub fn write<C: Codec>(Shape { event_type, schema }: Shape, data: &impl Serialize) -> Result<Payload, CodecError> {
    let data = C::encode(data).map_err(|source| CodecError::Encode { event_type, schema, source })?;
    Ok(Payload { content_type: C::content_type(), data })
}

/// Reads data that is stored as an event type, of a schema.
pub fn read<C: Codec, T: DeserializeOwned>(
    Shape { event_type, .. }: Shape,
    schema: u32,
    payload: &Payload,
) -> Result<T, CodecError> {
    let expected = C::content_type();
    if payload.content_type != expected {
        return Err(CodecError::ContentType { event_type, expected, actual: payload.content_type.clone() });
    }
    C::decode(&payload.data).map_err(|source| CodecError::Decode { event_type, schema, source })
}

/// The error of data whose schema is not one from 1 to the current one.
pub fn unknown_schema(current: Shape, schema: u32) -> CodecError {
    CodecError::UnknownSchema { event_type: current.event_type, schema, known: current.schema }
}

/// Adds a tag that is not there yet.
pub fn tag(tags: &mut Vec<Tag>, key: &str, value: &(impl Display + ?Sized)) -> Result<(), NameError> {
    let tag = Tag::of(key, value)?;
    if !tags.contains(&tag) {
        tags.push(tag);
    }
    Ok(())
}

/// How many shapes the events of a set have.
pub const fn count(sets: &[&[Shape]]) -> usize {
    let (mut count, mut at) = (0, 0);
    while at < sets.len() {
        count += sets[at].len();
        at += 1;
    }
    count
}

/// The shapes of the events of a set, which no two of them may share.
pub const fn join<const COUNT: usize>(sets: &[&[Shape]]) -> [Shape; COUNT] {
    let mut joined = [Shape { event_type: "", schema: 0 }; COUNT];
    let (mut next, mut set) = (0, 0);
    while set < sets.len() {
        let mut at = 0;
        while at < sets[set].len() {
            let shape = sets[set][at];
            let mut before = 0;
            while before < next {
                assert!(
                    !same(joined[before].event_type, shape.event_type),
                    "two events of this set are stored under one name, so what is stored could be either: name one anew"
                );
                before += 1;
            }
            joined[next] = shape;
            next += 1;
            at += 1;
        }
        set += 1;
    }
    joined
}

const fn same(a: &str, b: &str) -> bool {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    let mut at = 0;
    while at < a.len() && at < b.len() && a[at] == b[at] {
        at += 1;
    }
    at == a.len() && at == b.len()
}
