//! A projection: events become a read model, exactly once.

// Where it is kept.
mod read_db;
mod memory;
mod records;

// It is run.
mod runner;
mod register;
mod anchor;
mod supervisor;
mod worker;
mod lease;
mod pass;
pub(crate) mod failure;
mod effects;
mod swap;

// It is looked at, and controlled.
mod status;
mod wait;
mod requests;
mod read_models;

use std::borrow::Cow;
use std::future::Future;

pub use failure::{OnFailure, Unavailable};
pub use memory::{MemoryDb, MemoryTx};
pub use read_db::{ReadDb, ReadModelName, ReadModelNameError, Record};
pub use read_models::{ControlError, Partition, ReadModel, ReadModels};
pub use records::{Failure, ParkedEvent, Phase};
pub use runner::{BATCH_EVENTS, Ended, LEASE, Runner, Running, StartError};
pub use status::{Activity, PartitionStatus, Status};
pub use wait::WaitError;

use crate::{EventSet, HandlerError, NameError, Query, RecordedEvent, StreamName, TypedEvent};

/// Turns events into a read model: tables in a database, that can be deleted and made again.
///
/// What [`apply`](Projection::apply) changes and the checkpoint that remembers it commit in one transaction, so each event counts
/// exactly once, whatever fails and wherever.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a projection",
    label = "nothing says which read model this type keeps",
    note = "implement `factum::Projection` for it: its name and version, its events, its database, its tables, \
            and how it applies an event"
)]
pub trait Projection: Send + Sync + 'static {
    /// The name of the read model.
    const NAME: &'static str;

    /// The name of this one, where a program runs several of one type: [`NAME`](Self::NAME), unless it is written.
    fn name(&self) -> Cow<'_, str> {
        Self::NAME.into()
    }

    /// The version of the tables and of what fills them: with a new one, the read model is made again beside the old one.
    const VERSION: u32;

    /// How many parts are filled in parallel, counted from 1; order is kept within a [`partition_key`](Self::partition_key).
    /// Another number needs another [`VERSION`](Self::VERSION).
    const PARTITIONS: u32 = 1;

    /// Whether it has effects outside the database: see [`deliver`](Self::deliver).
    const DELIVERS: bool = false;

    /// The events that it reads.
    type Events: EventSet;

    /// The database that it writes to.
    type Db: ReadDb;

    /// Which events it is given: those of [`Self::Events`], unless this says something narrower.
    ///
    /// # Errors
    /// [`NameError`] where something in it is no name.
    fn query(&self) -> Result<Query, NameError> {
        Self::Events::query()
    }

    /// What an event is about: events with one key are applied in order, and wait behind one of them that is parked.
    fn partition_key<'a>(&self, event: &'a RecordedEvent) -> Cow<'a, str> {
        event.stream.as_str().into()
    }

    /// Makes the empty tables.
    ///
    /// # Errors
    /// Anything: then the projection does not start.
    fn create(&self, tx: &mut TxOf<Self>) -> impl Future<Output = Result<(), HandlerError>> + Send;

    /// Changes the tables as an event says.
    ///
    /// # Errors
    /// Anything: then nothing of it is kept, and what comes next is for the runner's policy to say.
    fn apply(
        &self,
        tx: &mut TxOf<Self>,
        event: &TypedEvent<Self::Events>,
    ) -> impl Future<Output = Result<(), HandlerError>> + Send;

    /// An effect outside the database, where [`DELIVERS`](Self::DELIVERS): done before the event's changes commit, at least
    /// once, in order within a key, and by the live read model alone: not while it is made again. The event's id makes repeats
    /// harmless.
    ///
    /// # Errors
    /// As [`apply`](Self::apply).
    fn deliver(&self, _event: &TypedEvent<Self::Events>) -> impl Future<Output = Result<(), HandlerError>> + Send {
        async { Ok(()) }
    }

    /// Takes out of the tables all that the events of a stream put in, so that they can be applied again.
    ///
    /// # Errors
    /// Unless it is written, that it is not.
    fn clear_stream(&self, _tx: &mut TxOf<Self>, _stream: &StreamName) -> impl Future<Output = Result<(), HandlerError>> + Send {
        async { Err("this projection cannot be made again for one stream: implement `Projection::clear_stream`".into()) }
    }
}

/// The transaction that a projection writes to.
pub type TxOf<P> = <<P as Projection>::Db as ReadDb>::Tx;
