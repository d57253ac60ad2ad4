//! eventsourced on PostgreSQL, and eventsourced-projection into a table there.
//!
//! Its event log numbers the events of each entity, and a projection follows these numbers: of several entities that are written
//! to, it misses events. So all accounts are one entity, unless more are asked for.

use std::convert::Infallible;
use std::num::NonZeroUsize;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use eventsourced::binarize::serde_json::SerdeJsonBinarize;
use eventsourced::snapshot_store::noop::NoopSnapshotStore;
use eventsourced::{Command, CommandEffect, EntityRef, EventSourced, EventSourcedExt};
use eventsourced_postgres::{PostgresEventLog, PostgresEventLogConfig};
use eventsourced_projection::postgres::{ErrorStrategy, EventHandler, Projection};
use factum_postgres::testing::Server;
use serde::{Deserialize, Serialize};
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use sqlx::{Executor, Postgres as PostgresDb, Transaction};
use tokio::runtime::Runtime;
use uuid::Uuid;

use crate::deposit::{Deposit, Totals};
use crate::projector::Projector;

/// What Cargo.toml pins.
pub(crate) const VERSION: &str = "0.6.2";

/// How often the log is asked for new events; 2 s unless it is told.
const POLL: Duration = Duration::from_millis(1);

/// How often the table is asked how much it has, and how long nothing comes before nothing is expected.
const LOOK: Duration = Duration::from_millis(10);
const STILL: Duration = Duration::from_secs(5);

/// An entity with accounts.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Bank;

impl EventSourced for Bank {
    type Id = Uuid;
    type Event = Deposit;
    const TYPE_NAME: &'static str = "bank";

    fn handle_event(self, _event: Deposit) -> Self {
        self
    }
}

#[derive(Debug)]
struct Record(Deposit);

impl Command<Bank> for Record {
    type Reply = ();
    type Error = Infallible;

    fn handle_command(self, _id: &Uuid, _state: &Bank) -> CommandEffect<Bank, (), Infallible> {
        CommandEffect::emit(self.0)
    }
}

/// The projection.
#[derive(Clone)]
struct Balances;

impl EventHandler<Deposit> for Balances {
    type Error = sqlx::Error;

    async fn handle_event(&self, event: Deposit, tx: &mut Transaction<'static, PostgresDb>) -> Result<(), sqlx::Error> {
        sqlx::query(
            "INSERT INTO accounts VALUES ($1, 1, $2)
             ON CONFLICT (account) DO UPDATE SET deposits = accounts.deposits + 1, cents = accounts.cents + $2",
        )
        .bind(event.account as i64)
        .bind(event.cents)
        .execute(&mut **tx)
        .await?;
        Ok(())
    }
}

/// A server with a log and a table.
pub(crate) struct Eventsourced {
    server: Server,
    log: PostgresEventLog<Uuid>,
    reader: PgPool,
    /// An account is in the one that its number falls to, of so many.
    entities: Vec<EntityRef<Bank>>,
    /// How many deposits were loaded.
    loaded: i64,
    /// How many projections there were.
    projections: u64,
    /// What the projection runs on: it has no other end.
    runtime: Option<Runtime>,
}

impl Projector for Eventsourced {
    type Receipt = ();

    async fn open(folder: &Path) -> Result<Self> {
        let server = Server::start_in(folder, &[]);
        let log = PostgresEventLog::new(config(&server)).await?;
        let reader = PgPool::connect(&server.url()).await?;
        reader
            .execute("CREATE TABLE accounts (account bigint PRIMARY KEY, deposits bigint NOT NULL, cents bigint NOT NULL)")
            .await?;
        Ok(Self { server, log, reader, entities: Vec::new(), loaded: 0, projections: 0, runtime: None })
    }

    async fn load(&mut self, deposits: Vec<Deposit>) -> Result<()> {
        let bytes = deposits.iter().map(serde_json::to_vec).collect::<Result<Vec<_>, _>>()?;
        sqlx::query(
            "INSERT INTO events SELECT $1 + ordinal, 'bank', $2::uuid, event
             FROM unnest($3) WITH ORDINALITY AS bank (event, ordinal)",
        )
        .bind(self.loaded)
        .bind(id(0).to_string())
        .bind(bytes)
        .execute(&self.reader)
        .await?;
        self.loaded += i64::try_from(deposits.len())?;
        Ok(())
    }

    async fn prepare(&mut self, streams: u64) -> Result<()> {
        if self.entities.is_empty() {
            for number in 0..streams {
                let buffer = NonZeroUsize::MIN.saturating_add(63);
                let (log, snapshots) = (self.log.clone(), NoopSnapshotStore::new());
                self.entities.push(Bank.entity().spawn(id(number), None, buffer, log, snapshots, SerdeJsonBinarize).await?);
            }
        }
        Ok(())
    }

    async fn project(&mut self) -> Result<()> {
        self.projections += 1;
        self.reader.execute("TRUNCATE accounts").await?;
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        let name = format!("balances-{}", self.projections);
        // What is written to the table may be lost in a power cut, together with how far it goes, as with the other systems.
        let options = self.server.url().parse::<PgConnectOptions>()?.options([("synchronous_commit", "off")]);
        let writer = PgPoolOptions::new().connect_lazy_with(options);
        let config = config(&self.server);
        let run = async move {
            let log = PostgresEventLog::<Uuid>::new(config).await?;
            let projection =
                Projection::new::<Deposit, _, _>(Bank::TYPE_NAME, name, log, Balances, ErrorStrategy::Stop, writer).await?;
            projection.run().await?;
            anyhow::Ok(())
        };
        let started = runtime.spawn(run);
        self.runtime = Some(runtime);
        started.await?
    }

    async fn caught_up(&self, deposits: u64) -> Result<Instant> {
        let (mut last, mut since) = (0, Instant::now());
        loop {
            let now = self.accounts().await?.deposits;
            if last < now {
                (last, since) = (now, Instant::now());
            }
            if deposits <= now || STILL < since.elapsed() {
                return Ok(since);
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    async fn stop(&mut self) -> Result<()> {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
        Ok(())
    }

    async fn deposit(&self, deposit: Deposit) -> Result<()> {
        let entity = &self.entities[deposit.account as usize % self.entities.len()];
        let recorded = entity.handle_command(Record(deposit)).await.map_err(|error| anyhow!("{error}"))?;
        recorded.map_err(|never| match never {})
    }

    async fn applied(&self, _receipt: ()) -> Result<()> {
        Ok(())
    }

    async fn account(&self, account: u64) -> Result<Totals> {
        let select = "SELECT deposits, cents FROM accounts WHERE account = $1";
        let row: Option<(i64, i64)> = sqlx::query_as(select).bind(account as i64).fetch_optional(&self.reader).await?;
        row.unwrap_or_default().try_into()
    }

    async fn accounts(&self) -> Result<Totals> {
        let select = "SELECT coalesce(sum(deposits), 0)::bigint, coalesce(sum(cents), 0)::bigint FROM accounts";
        sqlx::query_as::<_, (i64, i64)>(select).fetch_one(&self.reader).await?.try_into()
    }

    async fn close(self) -> Result<()> {
        self.server.stop();
        Ok(())
    }
}

fn config(server: &Server) -> PostgresEventLogConfig {
    let (host, port, setup) = ("127.0.0.1".to_owned(), server.port(), true);
    PostgresEventLogConfig { host, port, setup, poll_interval: POLL, ..PostgresEventLogConfig::default() }
}

fn id(entity: u64) -> Uuid {
    Uuid::from_u128(entity.into())
}
