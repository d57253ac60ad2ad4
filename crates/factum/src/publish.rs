//! Publishing: events are handed to something outside, at least once and in order.

use std::borrow::Cow;
use std::future::Future;

use crate::{HandlerError, NameError, Projection, Query, ReadDb, RecordedEvent, TxOf, TypedEvent};

/// A target outside: a webhook, a broker, a mailer.
pub trait Publish: Send + Sync + 'static {
    /// The name of what is published: of its checkpoint, and of what is parked. No two in a database have one.
    fn name(&self) -> Cow<'_, str>;

    /// The version of it. A new one goes on where the old one stands: nothing is published again.
    const VERSION: u32 = 1;

    /// How many are handed on at a time, counted from 1; those of one key one by one. Another number needs another
    /// [`VERSION`](Self::VERSION).
    const PARTITIONS: u32 = 1;

    /// Which events.
    ///
    /// # Errors
    /// [`NameError`] where something in it is no name.
    fn query(&self) -> Result<Query, NameError> {
        Ok(Query::all())
    }

    /// What an event is about: events with one key are published in order, and wait behind one of them that is parked.
    fn partition_key<'a>(&self, event: &'a RecordedEvent) -> Cow<'a, str> {
        event.stream.as_str().into()
    }

    /// Hands the event on. It may come again: its id tells.
    ///
    /// # Errors
    /// Anything: what comes next is for the runner's policy to say. [`Unavailable`](crate::Unavailable) where it is no fault of
    /// the event's: then all of them wait until it is over, and none is parked.
    fn publish(&self, event: &RecordedEvent) -> impl Future<Output = Result<(), HandlerError>> + Send;
}

/// A projection that has no tables: it publishes, and its checkpoint says what it has.
#[derive(Debug)]
pub struct Outbox<T, D> {
    target: T,
    db: std::marker::PhantomData<fn(D)>,
}

impl<T: Publish, D: ReadDb> Outbox<T, D> {
    /// Publishes to this target.
    pub fn new(target: T) -> Self {
        Self { target, db: std::marker::PhantomData }
    }
}

impl<T: Publish, D: ReadDb> Projection for Outbox<T, D> {
    const NAME: &'static str = "outbox";
    const VERSION: u32 = T::VERSION;
    const PARTITIONS: u32 = T::PARTITIONS;
    const DELIVERS: bool = true;
    type Events = ();
    type Db = D;

    fn name(&self) -> Cow<'_, str> {
        self.target.name()
    }

    fn query(&self) -> Result<Query, NameError> {
        self.target.query()
    }

    fn partition_key<'a>(&self, event: &'a RecordedEvent) -> Cow<'a, str> {
        self.target.partition_key(event)
    }

    async fn create(&self, _tx: &mut TxOf<Self>) -> Result<(), HandlerError> {
        Ok(())
    }

    async fn apply(&self, _tx: &mut TxOf<Self>, _event: &TypedEvent<()>) -> Result<(), HandlerError> {
        Ok(())
    }

    async fn deliver(&self, event: &TypedEvent<()>) -> Result<(), HandlerError> {
        self.target.publish(&event.recorded).await
    }
}
