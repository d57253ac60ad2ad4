//! A bank: accounts, transfers, and the past. Run it again, and the same history goes on.

use std::error::Error;
use std::io::Write;
use std::time::Duration;

use factum::{
    Aggregate, Append, AsOf, DecideError, Event, Log, Metadata, NewEvent, Payload, Query, Read, Repository, Snapshot,
    SnapshotStore, Timestamp,
};
use serde::{Deserialize, Serialize};

#[derive(Debug, PartialEq, Event)]
#[event(prefix = "Account")] // stored as AccountOpened, AccountDeposited, AccountWithdrawn
enum AccountEvent {
    Opened {
        owner: String,
    },
    Deposited {
        cents: u64,
    },
    // There was no fee at first.
    #[event(version = 2, upcast(1 = WithdrawnV1))]
    Withdrawn {
        cents: u64,
        fee: u64,
    },
}

#[derive(Deserialize)]
struct WithdrawnV1 {
    cents: u64,
}

impl From<WithdrawnV1> for AccountEvent {
    fn from(WithdrawnV1 { cents }: WithdrawnV1) -> Self {
        Self::Withdrawn { cents, fee: 0 }
    }
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
struct Account {
    open: bool,
    cents: u64,
}

impl Aggregate for Account {
    const CATEGORY: &'static str = "account"; // the stream of ann's account is `account-ann`
    type Id = String;
    type Event = AccountEvent;

    fn apply(&mut self, event: &AccountEvent) {
        match event {
            AccountEvent::Opened { .. } => self.open = true,
            AccountEvent::Deposited { cents } => self.cents += cents,
            AccountEvent::Withdrawn { cents, fee } => self.cents = self.cents.saturating_sub(cents + fee),
        }
    }
}

impl Snapshot for Account {
    const SCHEMA: u32 = 1;
    const EVERY: u64 = 2;
}

#[derive(Debug, PartialEq, thiserror::Error)]
#[error("{0} cents missing")]
struct InsufficientFunds(u64);

const FEE: u64 = 10;

impl Account {
    fn deposit(&self, owner: &str, cents: u64) -> Result<Vec<AccountEvent>, InsufficientFunds> {
        let opened = (!self.open).then(|| AccountEvent::Opened { owner: owner.to_owned() });
        Ok(opened.into_iter().chain([AccountEvent::Deposited { cents }]).collect())
    }

    fn withdraw(&self, cents: u64) -> Result<Vec<AccountEvent>, InsufficientFunds> {
        match (cents + FEE).saturating_sub(self.cents) {
            0 => Ok(vec![AccountEvent::Withdrawn { cents, fee: FEE }]),
            missing => Err(InsufficientFunds(missing)),
        }
    }
}

/// Does a day's business on a log, wherever it is, and says what it does; fails with whatever keeps it from that.
pub async fn run(log: Log, snapshots: impl SnapshotStore, out: &mut impl Write) -> Result<(), Box<dyn Error + Send + Sync>> {
    let log = log.with(Metadata::default().actor("demo"));
    let accounts = log.repository::<Account>().with_snapshots(snapshots);
    writeln!(out, "It begins with {} events.", log.head().await?)?;

    let (ann, bob) = ("ann".to_owned(), "bob".to_owned());
    for id in [&ann, &bob] {
        let version = accounts.decide(id, |account| account.deposit(id, 10_000)).await?.version;
        writeln!(out, "{id} deposits 10000 cents: version {version}.")?;
    }
    match accounts.decide(&bob, |account| account.withdraw(100_000_000)).await {
        Err(DecideError::Rejected(refusal)) => writeln!(out, "bob asks for 100000000 cents and is refused: {refusal}.")?,
        outcome => drop(outcome?),
    }
    // Both accounts are read at one position; if anything has happened to either by the time of the append, it is decided again.
    let transfer = log.decide((accounts.model(&ann), accounts.model(&bob)), |(from, to)| {
        let sent = from.state.withdraw(2_500)?.into_iter().map(|event| from.draft(&event));
        Ok::<_, InsufficientFunds>(sent.chain([to.draft(&AccountEvent::Deposited { cents: 2_500 })]).collect::<Vec<_>>())
    });
    let streams = transfer.await?.map_or(0, |appended| appended.versions.len());
    writeln!(out, "ann sends bob 2500 cents: one append to {streams} streams.")?;
    let old = NewEvent::new(Repository::<Account>::stream(&bob)?, "AccountWithdrawn", Payload::json(r#"{"cents":100}"#))?;
    let appended = log.append(Append::new(vec![old])).await?; // of schema 1, without a fee
    if let Some(page) = log.read(Read::new(Query::all()).range(appended.positions)).next().await? {
        writeln!(out, "An event of schema 1 is read as {:?}.", page.events[0].decode::<AccountEvent>()?)?;
    }
    let now = accounts.load(&ann).await?;
    writeln!(out, "ann has {} cents, loaded from a snapshot at version {} of {}.", now.state.cents, now.snapshot, now.version)?;
    let then = accounts.load_as_of(&ann, AsOf::Time(Timestamp::now().earlier(Duration::from_secs(3_600)))).await?;
    Ok(writeln!(out, "An hour ago ann had {} cents, at version {}.", then.state.cents, then.version)?)
}
