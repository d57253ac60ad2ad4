//! Factum: its store on disk, and a projection into SQLite.

use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::time::Instant;

use ::factum::{Aggregate, Append, Event, HandlerError, Log, NewEvent, Payload, Position, Projection, Running, Tag, TypedEvent};
use anyhow::{Context, Result};
use factum_embedded::EmbeddedStore;
use factum_sqlite::{SqliteDb, SqliteTx};
use tokio_util::sync::CancellationToken;

use crate::deposit::{Deposit, Totals};
use crate::projector::{PATIENCE, Projector};

#[derive(Debug, Clone, PartialEq, Event)]
#[event(prefix = "Account")]
enum AccountEvent {
    Deposited(Deposit),
}

#[derive(Clone, Default)]
struct Account;

impl Aggregate for Account {
    const CATEGORY: &'static str = "account";
    type Id = u64;
    type Event = AccountEvent;

    fn apply(&mut self, _event: &AccountEvent) {}
}

/// The projection.
struct Balances<const PARTITIONS: u32>;

impl<const PARTITIONS: u32> Projection for Balances<PARTITIONS> {
    const NAME: &'static str = "balances";
    const VERSION: u32 = 1;
    const PARTITIONS: u32 = PARTITIONS;
    type Events = AccountEvent;
    type Db = SqliteDb;

    async fn create(&self, tx: &mut SqliteTx) -> Result<(), HandlerError> {
        let table = "CREATE TABLE {accounts} (account INTEGER PRIMARY KEY, deposits INTEGER NOT NULL, cents INTEGER NOT NULL)";
        tx.query(table).execute(tx.connection()).await?;
        Ok(())
    }

    async fn apply(&self, tx: &mut SqliteTx, event: &TypedEvent<AccountEvent>) -> Result<(), HandlerError> {
        let AccountEvent::Deposited(Deposit { account, cents, .. }) = &event.data;
        tx.query(
            "INSERT INTO {accounts} VALUES (?1, 1, ?2)
             ON CONFLICT (account) DO UPDATE SET deposits = deposits + 1, cents = cents + ?2",
        )
        .bind(i64::try_from(*account)?)
        .bind(*cents)
        .execute(tx.connection())
        .await?;
        Ok(())
    }
}

/// A store, and a read model in as many partitions.
pub(crate) struct Factum<const PARTITIONS: u32> {
    store: EmbeddedStore,
    log: Log,
    folder: PathBuf,
    /// How many read models there were.
    models: u64,
    filled: Option<Filled<PARTITIONS>>,
}

/// A read model that is being filled.
struct Filled<const PARTITIONS: u32> {
    db: SqliteDb,
    running: Running<Balances<PARTITIONS>>,
    shutdown: CancellationToken,
}

impl<const PARTITIONS: u32> Projector for Factum<PARTITIONS> {
    type Receipt = Position;

    async fn open(folder: &Path) -> Result<Self> {
        let store = factum_embedded::open(folder.join("store"))?;
        Ok(Self { log: Log::new(store.clone()), store, folder: folder.to_owned(), models: 0, filled: None })
    }

    async fn load(&mut self, deposits: Vec<Deposit>) -> Result<()> {
        let events = deposits.iter().map(new_event).collect::<Result<_>>()?;
        self.log.append(Append::new(events)).await?;
        Ok(())
    }

    async fn project(&mut self) -> Result<()> {
        self.models += 1;
        let db = SqliteDb::open(self.folder.join(format!("read-{}.sqlite", self.models))).await?;
        let shutdown = CancellationToken::new();
        let running = self.log.project(Balances, db.clone()).start(&shutdown).await?;
        self.filled = Some(Filled { db, running, shutdown });
        Ok(())
    }

    async fn caught_up(&self, _deposits: u64) -> Result<Instant> {
        self.applied(self.log.head().await?).await?;
        Ok(Instant::now())
    }

    async fn stop(&mut self) -> Result<()> {
        if let Some(filled) = self.filled.take() {
            filled.shutdown.cancel();
            filled.running.ended().await;
        }
        Ok(())
    }

    async fn deposit(&self, deposit: Deposit) -> Result<Position> {
        let account = deposit.account;
        let events = || Ok::<_, Infallible>(vec![AccountEvent::Deposited(deposit.clone())]);
        let decided = self.log.repository::<Account>().decide(&account, |_| events()).await?;
        Ok(decided.appended.context("nothing was recorded")?.positions.through)
    }

    async fn applied(&self, receipt: Position) -> Result<()> {
        Ok(self.filled()?.running.wait_for(receipt, PATIENCE).await?)
    }

    async fn account(&self, account: u64) -> Result<Totals> {
        let select = "SELECT deposits, cents FROM accounts WHERE account = ?";
        let row: Option<(i64, i64)> =
            sqlx::query_as(select).bind(i64::try_from(account)?).fetch_optional(self.filled()?.db.pool()).await?;
        row.unwrap_or_default().try_into()
    }

    async fn accounts(&self) -> Result<Totals> {
        let select = "SELECT coalesce(sum(deposits), 0), coalesce(sum(cents), 0) FROM accounts";
        sqlx::query_as::<_, (i64, i64)>(select).fetch_one(self.filled()?.db.pool()).await?.try_into()
    }

    async fn close(self) -> Result<()> {
        self.store.close();
        Ok(())
    }
}

impl<const PARTITIONS: u32> Factum<PARTITIONS> {
    fn filled(&self) -> Result<&Filled<PARTITIONS>> {
        self.filled.as_ref().context("nothing is projected")
    }
}

/// The event that a command would record.
fn new_event(deposit: &Deposit) -> Result<NewEvent> {
    let id = format!("account-{}", deposit.account);
    let mut event = NewEvent::new(id.try_into()?, "AccountDeposited", Payload::json(serde_json::to_vec(deposit)?))?;
    event.tags = vec![Tag::new(format!("account:{}", deposit.account))?];
    Ok(event)
}
