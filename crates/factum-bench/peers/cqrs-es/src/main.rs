//! cqrs-es on SQLite, served to the benchmark: `factum-bench-cqrs-es FOLDER`.
//!
//! What is measured, and how, is the benchmark's own source.

use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result};
use cqrs_es::event_sink::EventSink;
use cqrs_es::persist::{GenericQuery, PersistedEventRepository, QueryReplay, SerializedEvent};
use cqrs_es::{Aggregate, DomainEvent, EventEnvelope, View};
use serde::{Deserialize, Serialize};
use sqlite_es::{SqliteCqrs, SqliteEventRepository, SqliteViewRepository, default_sqlite_pool, sqlite_cqrs};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous};

#[path = "../../../src/workload.rs"]
#[expect(dead_code, reason = "the events of stores are not projected")]
mod workload;
#[path = "../../../src/stats.rs"]
#[expect(dead_code, reason = "medians are made by the measuring process")]
mod stats;
#[path = "../../../src/command.rs"]
#[expect(dead_code, reason = "a projection is measured by some of it")]
mod command;
#[path = "../../../src/converse.rs"]
mod converse;
#[path = "../../../src/deposit.rs"]
mod deposit;
#[path = "../../../src/projector.rs"]
mod projector;

use deposit::{Deposit, Totals};
use projector::Projector;

/// The allocator of all systems, as programs that care for speed have one.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> Result<()> {
    let folder = std::env::args_os().nth(1).map(PathBuf::from).context("usage: factum-bench-cqrs-es FOLDER")?;
    projector::serve::<CqrsEs>(&folder)
}

/// The tables that sqlite-es wants.
const TABLES: &str = "
    CREATE TABLE events (
        aggregate_type TEXT NOT NULL,
        aggregate_id TEXT NOT NULL,
        sequence INTEGER NOT NULL,
        event_type TEXT NOT NULL,
        event_version TEXT NOT NULL,
        payload TEXT NOT NULL,
        metadata TEXT NOT NULL,
        PRIMARY KEY (aggregate_type, aggregate_id, sequence)
    ) STRICT;
    CREATE TABLE balances (view_id TEXT PRIMARY KEY, version INTEGER NOT NULL, payload TEXT NOT NULL) STRICT;";

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
enum AccountEvent {
    Deposited(Deposit),
}

impl DomainEvent for AccountEvent {
    fn event_type(&self) -> String {
        "AccountDeposited".to_owned()
    }

    fn event_version(&self) -> String {
        "1".to_owned()
    }
}

#[derive(Default, Serialize, Deserialize)]
struct Account;

impl Aggregate for Account {
    const TYPE: &'static str = "account";
    type Command = Deposit;
    type Event = AccountEvent;
    type Error = Infallible;
    type Services = ();

    async fn handle(&mut self, command: Deposit, _services: &(), sink: &EventSink<Self>) -> Result<(), Infallible> {
        sink.write(AccountEvent::Deposited(command), self).await;
        Ok(())
    }

    fn apply(&mut self, _event: AccountEvent) {}
}

/// A row of the table.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Balance {
    deposits: i64,
    cents: i64,
}

impl View<Account> for Balance {
    fn update(&mut self, event: &EventEnvelope<Account>) {
        let AccountEvent::Deposited(deposit) = &event.payload;
        self.deposits += 1;
        self.cents += deposit.cents;
    }
}

/// A database with events and views.
struct CqrsEs {
    /// Its commits are durable.
    events: SqlitePool,
    /// As sqlite-es makes it: its commits may be lost in a power cut.
    views: SqlitePool,
    framework: SqliteCqrs<Account>,
    /// How many events an account has, while they are loaded.
    sequences: Vec<usize>,
}

impl Projector for CqrsEs {
    type Receipt = ();

    async fn open(folder: &Path) -> Result<Self> {
        let file = folder.join("cqrs-es.sqlite");
        let options = SqliteConnectOptions::new().filename(&file).create_if_missing(true).journal_mode(SqliteJournalMode::Wal);
        let events = SqlitePoolOptions::new().connect_with(options.synchronous(SqliteSynchronous::Full)).await?;
        sqlx::raw_sql(TABLES).execute(&events).await?;
        let views = default_sqlite_pool(file.to_str().context("the folder's name is no text")?).await;
        let framework = sqlite_cqrs(events.clone(), vec![Box::new(query(&views))], ());
        Ok(Self { events, views, framework, sequences: vec![0; deposit::ACCOUNTS as usize] })
    }

    async fn load(&mut self, deposits: Vec<Deposit>) -> Result<()> {
        let sequences = &mut self.sequences;
        let events = deposits.into_iter().map(|deposit| {
            let sequence = &mut sequences[deposit.account as usize];
            *sequence += 1;
            let (aggregate_id, payload) = (deposit.account.to_string(), AccountEvent::Deposited(deposit));
            let event = EventEnvelope::<Account> { aggregate_id, sequence: *sequence, payload, metadata: Default::default() };
            SerializedEvent::try_from(&event)
        });
        let events = events.collect::<Result<Vec<_>, _>>()?;
        Ok(SqliteEventRepository::new(self.events.clone()).persist::<Account>(&events, None).await?)
    }

    async fn project(&mut self) -> Result<()> {
        sqlx::query("DELETE FROM balances").execute(&self.views).await?;
        let replay = QueryReplay::new(SqliteEventRepository::new(self.events.clone()), query(&self.views));
        Ok(replay.replay_all().await?)
    }

    async fn caught_up(&self, _deposits: u64) -> Result<Instant> {
        // What is recorded is applied, or never.
        Ok(Instant::now())
    }

    async fn stop(&mut self) -> Result<()> {
        Ok(())
    }

    async fn deposit(&self, deposit: Deposit) -> Result<()> {
        Ok(self.framework.execute(&deposit.account.to_string(), deposit).await?)
    }

    async fn applied(&self, _receipt: ()) -> Result<()> {
        Ok(())
    }

    async fn account(&self, account: u64) -> Result<Totals> {
        let select = "SELECT payload ->> 'deposits', payload ->> 'cents' FROM balances WHERE view_id = ?";
        let row: Option<(i64, i64)> = sqlx::query_as(select).bind(account.to_string()).fetch_optional(&self.views).await?;
        row.unwrap_or_default().try_into()
    }

    async fn accounts(&self) -> Result<Totals> {
        let select = "SELECT coalesce(sum(payload ->> 'deposits'), 0), coalesce(sum(payload ->> 'cents'), 0) FROM balances";
        sqlx::query_as::<_, (i64, i64)>(select).fetch_one(&self.views).await?.try_into()
    }

    async fn close(self) -> Result<()> {
        self.views.close().await;
        self.events.close().await;
        Ok(())
    }
}

/// What keeps the table.
fn query(views: &SqlitePool) -> GenericQuery<SqliteViewRepository<Balance, Account>, Balance, Account> {
    let mut query = GenericQuery::new(Arc::new(SqliteViewRepository::new("balances", views.clone())));
    query.use_error_handler(Box::new(|error| eprintln!("cqrs-es did not apply an event: {error}")));
    query
}
