//! The conformance suite of stores: every law, one rule at a time.
//!
//! A backend's author says how to make a store ([`Backend`]) and has a test for each rule:
//!
//! ```
//! use factum::testing::ManualClock;
//! use factum::testing::store::Backend;
//! use factum::MemoryStore;
//!
//! struct Memory;
//!
//! impl Backend for Memory {
//!     type Store = MemoryStore;
//!
//!     async fn create(&self, clock: ManualClock) -> MemoryStore {
//!         MemoryStore::with_clock(clock)
//!     }
//!
//!     async fn reopen(&self, _: MemoryStore, _: ManualClock) -> Option<MemoryStore> {
//!         None
//!     }
//! }
//!
//! factum::store_contract!(Memory);
//! ```
//!
//! Or one call, [`check`], for all of them. Beside the rules, [`model`] compares a store with
//! [`MemoryStore`](crate::MemoryStore) by random operations.
//!
//! Rules force what they can: racers are let go by one barrier, and a wait begins before what ends it. Run them on a runtime
//! with several threads, so that the racers do race.

use std::time::Duration;

use crate::Store;
use crate::testing::ManualClock;

mod bench;
mod builders;
mod rules;
pub use rules::RULES;

// What an append does.
mod order;
mod expected;
mod atomic;
mod conditions;
mod repeats;
mod consumers;
mod limits;

// What comes back.
mod reads;
mod queries;
mod streams;
mod payloads;
mod names;
mod subscriptions;

// What holds at all times.
mod clocks;
mod schedules;
mod restarts;

pub mod model;

/// How to make stores of one kind, each of them empty at first.
pub trait Backend: Send + Sync + 'static {
    /// The store; its clones are one store.
    type Store: Store + Clone;

    /// Makes a new, empty store that goes by this clock.
    fn create(&self, clock: ManualClock) -> impl Future<Output = Self::Store> + Send;

    /// Closes the store, though clones of it may be in use, and opens it again from what it kept; `None` where it keeps nothing.
    ///
    /// Every wait on the closed store ends, in an answer or an error.
    fn reopen(&self, store: Self::Store, clock: ManualClock) -> impl Future<Output = Option<Self::Store>> + Send;

    /// How long the suite waits for what must happen before it says that it does not.
    fn patience(&self) -> Duration {
        Duration::from_secs(30)
    }
}

/// A rule that a store does not keep.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the store breaks the rule `{rule}`: {saw}")]
pub struct Broken {
    /// The rule, one of [`RULES`].
    pub rule: &'static str,
    /// What the suite saw.
    pub saw: String,
}

/// Checks every rule, each on a new store.
///
/// # Panics
/// Where a rule is broken: with the names of all such rules and what was seen.
pub async fn check<B: Backend>(backend: &B) {
    let mut broken = Vec::new();
    for rule in RULES {
        broken.extend(verdict(backend, rule).await.err().map(|broken| broken.to_string()));
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

/// Checks one rule, by its name.
///
/// # Panics
/// Where it is broken, or is none of [`RULES`].
pub async fn check_rule<B: Backend>(backend: &B, rule: &str) {
    if let Err(broken) = verdict(backend, rule).await {
        panic!("{broken}");
    }
}

/// Checks one rule, by its name, and tells what it saw: for tests of the suite, on stores that are known to be broken.
///
/// # Errors
/// [`Broken`] where the store breaks the rule.
///
/// # Panics
/// Where the name is none of [`RULES`].
pub async fn verdict<B: Backend>(backend: &B, rule: &str) -> Result<(), Broken> {
    let Some(rule) = rules::find(rule) else { panic!("{rule:?} is no rule: choose one of {RULES:?}") };
    rule.verdict(&bench::Bench::new(backend)).await
}
