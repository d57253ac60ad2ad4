//! Where a rule finds its stores.

use std::any::Any;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Duration;

use super::Backend;
use crate::testing::ManualClock;
use crate::{AnyStore, Timestamp};

/// The time at which every rule begins: 2026-01-01T00:00:00Z.
const BEGIN: Timestamp = Timestamp::from_micros(1_767_225_600_000_000);

type Reply<'a, T> = Pin<Box<dyn Future<Output = T> + 'a>>;

/// Makes stores for a rule, all of them with one clock.
pub(super) struct Bench<'a> {
    backend: &'a dyn AnyBackend,
    /// What the stores go by.
    pub(super) clock: ManualClock,
}

impl<'a> Bench<'a> {
    pub(super) fn new<B: Backend>(backend: &'a B) -> Self {
        Self { backend, clock: ManualClock::new(BEGIN) }
    }

    /// A new, empty store that need not be opened again.
    pub(super) async fn store(&self) -> AnyStore {
        self.open().await.store
    }

    /// A new, empty store.
    pub(super) async fn open(&self) -> Opened<'a> {
        self.backend.create(self.clock.clone()).await
    }

    /// Waits for what must happen.
    pub(super) async fn soon<T>(&self, what: &str, future: impl Future<Output = T>) -> T {
        let patience = self.backend.patience();
        match tokio::time::timeout(patience, future).await {
            Ok(answer) => answer,
            Err(_) => panic!("{what}: nothing within {patience:?}"),
        }
    }
}

/// A store, with how to open it again.
pub(super) struct Opened<'a> {
    pub(super) store: AnyStore,
    reopen: Box<dyn FnOnce() -> Reply<'a, Option<Opened<'a>>> + 'a>,
}

impl<'a> Opened<'a> {
    fn new<B: Backend>(backend: &'a B, store: B::Store, clock: ManualClock) -> Self {
        let any = AnyStore::new(store.clone());
        let reopen = async move || Some(Self::new(backend, backend.reopen(store, clock.clone()).await?, clock));
        Self { store: any, reopen: Box::new(move || Box::pin(reopen())) }
    }

    /// Closes the store and opens it again; `None` where it keeps nothing.
    pub(super) async fn reopen(self) -> Option<Self> {
        drop(self.store);
        (self.reopen)().await
    }
}

/// [`Backend`], as a trait that can be made into an object, so that the rules are compiled once.
trait AnyBackend {
    fn create(&self, clock: ManualClock) -> Reply<'_, Opened<'_>>;
    fn patience(&self) -> Duration;
}

impl<B: Backend> AnyBackend for B {
    fn create(&self, clock: ManualClock) -> Reply<'_, Opened<'_>> {
        Box::pin(async move { Opened::new(self, Backend::create(self, clock.clone()).await, clock) })
    }

    fn patience(&self) -> Duration {
        Backend::patience(self)
    }
}

/// What the future answers, or what it panics with.
pub(super) async fn caught<T>(future: impl Future<Output = T>) -> Result<T, String> {
    let mut future = pin!(future);
    // A future that has panicked is not polled again.
    poll_fn(|context| match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(context))) {
        Ok(poll) => poll.map(Ok),
        Err(panic) => Poll::Ready(Err(message(&*panic))),
    })
    .await
}

fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    text.unwrap_or("a panic without words").to_owned()
}
