//! What is measured of a system that projects events into a table: the same for each, in each program that serves one.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use tokio::runtime::Runtime;

use crate::command::{Command, Reply, Sample};
use crate::converse::converse;
use crate::deposit::{ACCOUNTS, Deposit, Totals};
use crate::stats::Latencies;
use crate::workload::mix;

/// Deposits in one call while they are loaded.
const LOAD_DEPOSITS: u64 = 1_000;

/// The longest that a table may take to show something.
pub(crate) const PATIENCE: Duration = Duration::from_secs(600);

/// A system, open on a folder, that keeps a table with a row for each account: its deposits, counted and added up.
///
/// A deposit is acknowledged when it is durable. The table may lose what was last written to it in a power cut, where it is then
/// written again.
pub(crate) trait Projector: Sized + Send + Sync + 'static {
    /// What a recorded deposit can be waited for by.
    type Receipt: Send;

    /// Opens the folder, which is empty.
    async fn open(folder: &Path) -> Result<Self>;

    /// Records deposits, before any other call.
    async fn load(&mut self, deposits: Vec<Deposit>) -> Result<()>;

    /// Prepares for commands; where an account is not a stream of its own, all are in this many.
    async fn prepare(&mut self, _streams: u64) -> Result<()> {
        Ok(())
    }

    /// Begins to fill a new, empty table: with all that was recorded, then with what is.
    async fn project(&mut self) -> Result<()>;

    /// Resolves when the table has this many deposits, or gets no more: since when.
    async fn caught_up(&self, deposits: u64) -> Result<Instant>;

    /// Fills the table no longer.
    async fn stop(&mut self) -> Result<()>;

    /// A command: it records a deposit.
    fn deposit(&self, deposit: Deposit) -> impl Future<Output = Result<Self::Receipt>> + Send;

    /// Resolves when the table may have a deposit.
    async fn applied(&self, receipt: Self::Receipt) -> Result<()>;

    /// The row of an account, as another connection reads it.
    async fn account(&self, account: u64) -> Result<Totals>;

    /// All rows, added up.
    async fn accounts(&self) -> Result<Totals>;

    /// Closes it as its users would.
    async fn close(self) -> Result<()>;
}

/// Serves a system on a folder until it is told to close it.
///
/// # Errors
/// Where the measuring process is gone. Failures of the system are answers.
pub(crate) fn serve<P: Projector>(folder: &Path) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let start = Instant::now();
    let opened = runtime.block_on(P::open(folder)).map(|projector| {
        let served = Served { runtime, projector: Some(Arc::new(projector)), recorded: Totals::default(), calls: 0 };
        (served, Sample::once(start.elapsed()))
    });
    converse(opened, |served, command| served.obey(command).map(Reply::Sample))
}

/// An open system.
struct Served<P> {
    runtime: Runtime,
    projector: Option<Arc<P>>,
    /// What was recorded in this process.
    recorded: Totals,
    /// How many commands were given numbers.
    calls: u64,
}

impl<P: Projector> Served<P> {
    fn obey(&mut self, command: &Command) -> Result<Sample> {
        match *command {
            Command::Load { events } => self.load(events),
            Command::CatchUp => self.projecting(Self::catch_up),
            Command::Live { writers, seconds, streams } => {
                self.prepare(streams)?;
                self.projecting(|served| served.live(writers, Duration::from_secs_f64(seconds)))
            }
            Command::Show { seconds } => {
                self.prepare(1)?;
                self.projecting(|served| served.show(Duration::from_secs_f64(seconds)))
            }
            Command::Close => {
                let projector = self.projector.take().and_then(Arc::into_inner).context("it is in use")?;
                let start = Instant::now();
                self.runtime.block_on(projector.close())?;
                Ok(Sample::once(start.elapsed()))
            }
            ref other => bail!("a projection does not know {other:?}"),
        }
    }

    fn load(&mut self, events: u64) -> Result<Sample> {
        let start = Instant::now();
        for first in (0..events).step_by(LOAD_DEPOSITS as usize) {
            let numbers = first..events.min(first + LOAD_DEPOSITS);
            let deposits: Vec<_> = numbers.map(|number| Deposit::new(mix(number), number)).collect();
            deposits.iter().for_each(|deposit| self.recorded.add(deposit));
            let (runtime, projector) = self.exclusive()?;
            runtime.block_on(projector.load(deposits))?;
        }
        Ok(Sample { events, ..Sample::once(start.elapsed()) })
    }

    fn prepare(&mut self, streams: u64) -> Result<()> {
        let (runtime, projector) = self.exclusive()?;
        runtime.block_on(projector.prepare(streams))
    }

    /// Measures something; then the system is idle again, so that it takes no time of another.
    fn projecting(&mut self, measure: impl FnOnce(&mut Self) -> Result<Sample>) -> Result<Sample> {
        let sample = measure(self)?;
        let table = self.runtime.block_on(self.projector()?.accounts())?;
        let (runtime, projector) = self.exclusive()?;
        runtime.block_on(projector.stop())?;
        let (missed, doubled) = compared(self.recorded, table)?;
        Ok(Sample { missed, doubled, ..sample })
    }

    /// Fills a new table with all that was recorded.
    fn catch_up(&mut self) -> Result<Sample> {
        let recorded = self.recorded.deposits;
        let start = Instant::now();
        let (runtime, projector) = self.exclusive()?;
        runtime.block_on(projector.project())?;
        let end = runtime.block_on(projector.caught_up(recorded))?;
        Ok(Sample { events: recorded, ..Sample::once(end - start) })
    }

    fn live(&mut self, writers: u64, window: Duration) -> Result<Sample> {
        self.catch_up()?;
        let projector = self.projector()?;
        let before = self.runtime.block_on(projector.accounts())?.deposits;
        let calls = self.calls;
        self.calls += writers << 32;
        let start = Instant::now();
        let recorded = self.runtime.block_on(async {
            let write = |writer| tokio::spawn(write(Arc::clone(&projector), writer, writers, calls, window));
            let tasks: Vec<_> = (0..writers).map(write).collect();
            let mut recorded = Totals::default();
            for task in tasks {
                recorded.add_all(task.await??);
            }
            anyhow::Ok(recorded)
        })?;
        self.recorded.add_all(recorded);
        let end = self.runtime.block_on(projector.caught_up(before + recorded.deposits))?;
        let after = self.runtime.block_on(projector.accounts())?.deposits;
        Ok(Sample { calls: recorded.deposits, events: after - before, ..Sample::once(end - start) })
    }

    fn show(&mut self, window: Duration) -> Result<Sample> {
        self.catch_up()?;
        let projector = self.projector()?;
        let mut latencies = Latencies::default();
        let start = Instant::now();
        while start.elapsed() < window {
            self.calls += 1;
            let deposit = Deposit::new(mix(self.calls), self.calls);
            self.recorded.add(&deposit);
            latencies.add(self.runtime.block_on(shown(&*projector, deposit))?);
        }
        Ok(Sample::new(latencies.count(), start.elapsed(), &mut latencies))
    }

    fn projector(&self) -> Result<Arc<P>> {
        self.projector.clone().context("it is closed")
    }

    fn exclusive(&mut self) -> Result<(&Runtime, &mut P)> {
        let projector = self.projector.as_mut().and_then(Arc::get_mut);
        Ok((&self.runtime, projector.context("it is closed, or in use")?))
    }
}

/// Records deposits, one after the other, on accounts that no other writer has.
async fn write<P: Projector>(projector: Arc<P>, writer: u64, writers: u64, calls: u64, window: Duration) -> Result<Totals> {
    let accounts = ACCOUNTS / writers;
    let mut recorded = Totals::default();
    let start = Instant::now();
    while start.elapsed() < window {
        let account = writer * accounts + recorded.deposits % accounts;
        let deposit = Deposit::new(account, calls + (writer << 32) + recorded.deposits);
        recorded.add(&deposit);
        projector.deposit(deposit).await?;
    }
    Ok(recorded)
}

/// How long it takes from a command until a reader of the table sees what it did.
async fn shown<P: Projector>(projector: &P, deposit: Deposit) -> Result<Duration> {
    let account = deposit.account;
    let before = projector.account(account).await?.deposits;
    let start = Instant::now();
    let receipt = projector.deposit(deposit).await?;
    projector.applied(receipt).await?;
    while projector.account(account).await?.deposits <= before {
        ensure!(start.elapsed() < PATIENCE, "the table does not show a deposit after {PATIENCE:?}");
    }
    Ok(start.elapsed())
}

/// How many deposits never came to the table, and how many are in it more than once, if it is one or the other.
fn compared(recorded: Totals, table: Totals) -> Result<(u64, u64)> {
    let (missed, doubled) = (recorded.deposits.saturating_sub(table.deposits), table.deposits.saturating_sub(recorded.deposits));
    ensure!(missed + doubled != 0 || table == recorded, "the table has {table:?} of what was recorded, {recorded:?}");
    Ok((missed, doubled))
}

#[cfg(test)]
mod tests {
    use super::compared;
    use crate::deposit::Totals;

    #[test]
    fn a_table_that_adds_up_to_something_else_is_no_measurement() {
        let of = |deposits, cents| Totals { deposits, cents };
        assert_eq!(compared(of(3, 60), of(3, 60)).unwrap(), (0, 0));
        assert_eq!(compared(of(3, 60), of(1, 10)).unwrap(), (2, 0));
        assert_eq!(compared(of(3, 60), of(4, 80)).unwrap(), (0, 1));
        assert!(compared(of(3, 60), of(3, 50)).is_err());
    }
}
