//! Event sourcing: state changes are kept as an immutable sequence of events, and everything else is derived from it.
//!
//! # The path of a command
//! A command is *decided* on a state that past events add up to: an [`Aggregate`], which is one stream, or a boundary of
//! [`Model`]s, which is a query. The events that it leads to are *appended* to a [`Store`], if nothing that was decided on has
//! changed in between; otherwise it is decided again. A [`Subscription`] is a read that waits: whatever is derived from the
//! events follows the store by one. The modules stand below in that order.
//!
//! # A bank account
//! Events are facts, a state applies them, and commands are plain methods: values in, events out.
//! ```
//! use std::convert::Infallible;
//!
//! use factum::testing::given;
//! use factum::{Aggregate, AsOf, DecideError, Event, Log, MemoryStore, Version};
//!
//! #[derive(Debug, Clone, PartialEq, Event)]
//! #[event(prefix = "Account")] // stored as AccountOpened, AccountDeposited, AccountWithdrawn
//! enum AccountEvent {
//!     Opened { owner: String },
//!     Deposited { cents: u64 },
//!     Withdrawn { cents: u64 },
//! }
//!
//! #[derive(Clone, Default)]
//! struct Account {
//!     cents: u64,
//! }
//!
//! impl Aggregate for Account {
//!     const CATEGORY: &'static str = "account"; // the stream of account 42 is `account-42`
//!     type Id = String;
//!     type Event = AccountEvent;
//!
//!     fn apply(&mut self, event: &AccountEvent) {
//!         match event {
//!             AccountEvent::Opened { .. } => {}
//!             AccountEvent::Deposited { cents } => self.cents += cents,
//!             AccountEvent::Withdrawn { cents } => self.cents = self.cents.saturating_sub(*cents),
//!         }
//!     }
//! }
//!
//! #[derive(Debug, PartialEq, thiserror::Error)]
//! #[error("{missing} cents missing")]
//! struct InsufficientFunds {
//!     missing: u64,
//! }
//!
//! impl Account {
//!     fn open(&self, owner: &str, cents: u64) -> Result<Vec<AccountEvent>, Infallible> {
//!         Ok(vec![AccountEvent::Opened { owner: owner.into() }, AccountEvent::Deposited { cents }])
//!     }
//!
//!     fn withdraw(&self, cents: u64) -> Result<Vec<AccountEvent>, InsufficientFunds> {
//!         match cents.saturating_sub(self.cents) {
//!             0 => Ok(vec![AccountEvent::Withdrawn { cents }]),
//!             missing => Err(InsufficientFunds { missing }),
//!         }
//!     }
//! }
//!
//! #[tokio::main(flavor = "current_thread")]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     given::<Account>("42", [AccountEvent::Deposited { cents: 50 }]) // a rule is checked without a store
//!         .when_deciding(|account| account.withdraw(53))
//!         .then_rejected(InsufficientFunds { missing: 3 });
//!
//!     let accounts = Log::new(MemoryStore::new()).repository::<Account>(); // or a store on disk: nothing else changes
//!     let id = "42".to_string();
//!     accounts.decide(&id, |account| account.open("Ann", 50)).await?;
//!     accounts.decide(&id, |account| account.withdraw(30)).await?; // again, if another writer gets there first
//!     let refused = accounts.decide(&id, |account| account.withdraw(30)).await;
//!     assert!(matches!(refused, Err(DecideError::Rejected(InsufficientFunds { missing: 10 }))));
//!
//!     assert_eq!(accounts.load(&id).await?.state.cents, 20);
//!     assert_eq!(accounts.load_as_of(&id, AsOf::Version(Version::new(2))).await?.state.cents, 50);
//!     Ok(())
//! }
//! ```
//!
//! Where a rule is about more than one stream, [`Log::decide`] takes a boundary. [`Repository::with_snapshots`] loads long
//! streams faster. [`testing`] has the rest of the kit, for domains and for stores.

// The derived code says `::factum`, here too.
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
mod backoff;
pub use backoff::{Backoff, HandlerError};
mod event_set;
pub use event_set::{EventSet, TypedEvent};
mod partition;
mod projection;
pub use projection::{
    Activity, BATCH_EVENTS, ControlError, Ended, Failure, LEASE, MemoryDb, MemoryTx, OnFailure, ParkedEvent, Partition,
    PartitionStatus, Phase, Projection, ReadDb, ReadModel, ReadModelName, ReadModelNameError, ReadModels, Record, Runner,
    Running, StartError, Status, TxOf, Unavailable, WaitError,
};
mod publish;
pub use publish::{Outbox, Publish};
mod group;
pub use group::{Delivery, Group, GroupError, GroupSettings, GroupStatus, Member, ParkedDelivery};
mod process;
pub use process::{
    Dispatch, Effect, Process, ProcessError, ProcessRunner, ProcessStatus, Quarantine, QuarantineError, Quarantined,
    RunningProcess,
};

// It is checked.
pub mod testing;
