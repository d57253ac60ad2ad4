//! Event sourcing: state changes are kept as an immutable sequence of events, and everything else is derived from it.

// `#[derive(Event)]` names this crate: so it stands in the crate's own tests too.
#[cfg(test)]
extern crate self as factum;

// What is recorded.
mod name;
pub use name::NameError;
mod event;
pub use event::{EventId, EventType, NewEvent, RecordedEvent};
mod stream;
pub use stream::{Category, ConsumerName, StreamName};
mod version;
pub use version::{Version, Versions};
mod position;
pub use position::{Position, Range};
mod tag;
pub use tag::Tag;
mod timestamp;
pub use timestamp::{Clock, SystemClock, Timestamp, TimestampError};
mod metadata;
pub use metadata::Metadata;
mod payload;
pub use payload::{ContentType, Payload};
mod codec;
pub use codec::{Codec, CodecError, CodecSource, Event, Json, Shape};
#[doc(hidden)]
pub mod __private;

// A command enters.
mod aggregate;
pub use aggregate::Aggregate;
mod decide;
pub use decide::{ATTEMPTS_MAX, Decide, DecideError, Decided, LoadError};
mod repository;
pub use repository::{Loaded, Repository};
mod draft;
pub use draft::Draft;
mod boundary;
pub use boundary::{AggregateModel, Boundary, LoadedModels, Model};
mod snapshot;
pub use snapshot::{FileSnapshots, MemorySnapshots, SavedSnapshot, Snapshot, SnapshotStore};
mod temporal;
pub use temporal::{AsOf, Moment};
mod log;
pub use log::{Log, Pages, REPEATS_MAX};

// It is stored.
mod store;
pub use store::{AnyStore, Store, StoreError, StoreErrorKind};
mod append;
pub use append::{Append, AppendError, Appended, Condition, Conflict, Consumed, Expected, InvalidAppend};
mod query;
pub use query::{Query, Scope, Selector};
mod read;
pub use read::{Change, Direction, Page, Read, ReadStreams, StreamSummary, StreamsPage};
pub mod limits;
mod memory;
pub use memory::MemoryStore;

// It is read.
mod subscription;
pub use subscription::{Batch, Subscription};

// It is checked.
pub mod testing;
