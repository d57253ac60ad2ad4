//! Snapshots against a full replay.

use std::fmt::Debug;

use crate::{Codec, Json, Snapshot};

/// Checks that a snapshot after any of the events, with the events after it, is the state that all of the events add up to.
///
/// # Panics
/// Where one is not: the state loses something when it is written, or adds to itself when it is read.
#[track_caller]
pub fn snapshot_equals_replay<A>(events: impl IntoIterator<Item = A::Event>)
where
    A: Snapshot + PartialEq + Debug,
{
    let events: Vec<_> = events.into_iter().collect();
    let replay = fold(A::default(), &events);
    for (at, tail) in (0..=events.len()).map(|at| (at, &events[at..])) {
        let state = fold(A::default(), &events[..at]);
        let restored: A = match Json::encode(&state).and_then(|snapshot| Json::decode(&snapshot)) {
            Ok(restored) => restored,
            Err(error) => panic!("the state after {at} events cannot be kept: {error}\n  {state:?}"),
        };
        let loaded = fold(restored, tail);
        assert!(
            loaded == replay,
            "a snapshot after {at} events loads as another state\n  replay: {replay:?}\n  loaded: {loaded:?}"
        );
    }
}

fn fold<A: Snapshot>(mut state: A, events: &[A::Event]) -> A {
    events.iter().for_each(|event| state.apply(event));
    state
}
