//! How much is measured, and where.

use std::path::PathBuf;

use clap::Parser;

use crate::deposit::ACCOUNTS;
use crate::system::System;
use crate::workload::DataSet;

/// Prints one table of Factum's embedded store beside its peers: medians of interleaved rounds in one run.
#[derive(Debug, Parser)]
#[command(name = "factum-bench")]
pub(crate) struct Arguments {
    /// What to measure; several may be named.
    #[arg(value_enum, default_values_t = [What::All])]
    pub what: Vec<What>,
    /// Which systems take part.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = System::ALL.iter().copied())]
    pub systems: Vec<System>,
    /// How many rounds a median is made of.
    #[arg(long)]
    pub rounds: Option<usize>,
    /// How long a measurement takes, in seconds, of one system in one round.
    #[arg(long)]
    pub seconds: Option<f64>,
    /// How many writers append at once, one row each.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 4, 16, 64, 256])]
    pub writers: Vec<usize>,
    /// How many events they append at a time, one row each.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 10, 100])]
    pub appends_of: Vec<usize>,
    /// How many events Factum's large data set has.
    #[arg(long)]
    pub events: Option<u64>,
    /// How many events the data set has that the peers are given too.
    #[arg(long)]
    pub peer_events: Option<u64>,
    /// How many events are projected where a projection catches up.
    #[arg(long)]
    pub projected: Option<u64>,
    /// How many writers record events while a projection follows, one row each.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 16], value_parser = clap::value_parser!(u64).range(1..=ACCOUNTS))]
    pub live_writers: Vec<u64>,
    /// How many writers append at once to PostgreSQL, one row each.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 16, 64], value_parser = clap::value_parser!(u64).range(1..=500))]
    pub postgres_writers: Vec<u64>,
    /// How many events they append at a time, one row each.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 10], value_parser = clap::value_parser!(u64).range(1..=500))]
    pub postgres_appends_of: Vec<u64>,
    /// Where the data goes, on the disk that is to be measured; it is removed at the end.
    #[arg(long, default_value = "target/factum-bench-data")]
    pub dir: PathBuf,
    /// Takes a few minutes, and says less: 3 short rounds, small data sets.
    #[arg(long)]
    pub quick: bool,
    /// Also writes the table to this file, as JSON.
    #[arg(long)]
    pub json: Option<PathBuf>,
}

/// A part of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum What {
    /// All parts but `postgres`.
    All,
    /// Durable appends.
    Append,
    /// Reading everything.
    Read,
    /// Reading one stream.
    Stream,
    /// Decisions on two tags.
    Dcb,
    /// Bytes on disk.
    Disk,
    /// Memory.
    Memory,
    /// Opening.
    Open,
    /// Projections into a table.
    Project,
    /// Stores on PostgreSQL, which has to be installed.
    Postgres,
}

/// What all rows go by.
#[derive(Debug)]
pub(crate) struct Config {
    /// How many rounds a median is made of.
    pub rounds: usize,
    /// How long a measurement takes, in seconds.
    pub seconds: f64,
    /// The systems that take part where events are kept.
    pub systems: Vec<System>,
    /// The systems that take part where events are projected.
    pub projectors: Vec<System>,
    /// How many writers append at once.
    pub writers: Vec<usize>,
    /// How many events they append at a time.
    pub appends_of: Vec<usize>,
    /// The folder for all data.
    pub folder: PathBuf,
    /// The data set that every system is given.
    pub common: DataSet,
    /// The data set that only Factum is given, where it is another one.
    pub large: DataSet,
    /// How many events are projected where a projection catches up.
    pub projected: u64,
    /// How many writers record events while a projection follows.
    pub live_writers: Vec<u64>,
    /// What goes for the systems on PostgreSQL.
    pub postgres: Postgres,
}

/// How the systems on PostgreSQL are measured: slower ones than the others, so in fewer and longer rounds.
#[derive(Debug)]
pub(crate) struct Postgres {
    /// How many rounds a median is made of.
    pub rounds: usize,
    /// How long a measurement takes, in seconds.
    pub seconds: f64,
    /// The systems that take part.
    pub systems: Vec<System>,
    /// Those that take part in a comparison of one log with several.
    pub logs: Vec<System>,
    /// How many writers append at once.
    pub writers: Vec<u64>,
    /// How many events they append at a time.
    pub appends_of: Vec<u64>,
}

/// A data set and the systems that are measured on it.
#[derive(Debug, Clone)]
pub(crate) struct Size {
    /// The data set.
    pub set: DataSet,
    /// The systems.
    pub systems: Vec<System>,
}

impl Arguments {
    /// What is meant by what was typed.
    pub(crate) fn config(&self) -> Config {
        let (rounds, seconds, events, peer_events, projected) =
            if self.quick { (3, 0.25, 1_000_000, 100_000, 5_000) } else { (5, 1.0, 10_000_000, 1_000_000, 100_000) };
        let among = |all: &[System]| all.iter().copied().filter(|system| self.systems.contains(system)).collect();
        Config {
            rounds: self.rounds.unwrap_or(rounds).max(1),
            seconds: self.seconds.unwrap_or(seconds),
            systems: among(System::STORES),
            projectors: among(System::PROJECTORS),
            writers: self.writers.clone(),
            appends_of: self.appends_of.clone(),
            folder: self.dir.clone(),
            common: DataSet::new(self.peer_events.unwrap_or(peer_events)),
            large: DataSet::new(self.events.unwrap_or(events)),
            projected: self.projected.unwrap_or(projected),
            live_writers: self.live_writers.clone(),
            postgres: Postgres {
                rounds: self.rounds.unwrap_or(3).max(1),
                seconds: self.seconds.unwrap_or(if self.quick { 1.0 } else { 5.0 }),
                systems: among(System::ON_POSTGRES),
                logs: among(System::LOGS),
                writers: self.postgres_writers.clone(),
                appends_of: self.postgres_appends_of.clone(),
            },
        }
    }

    /// Whether a part was asked for.
    pub(crate) fn asks_for(&self, part: What) -> bool {
        self.what.contains(&part) || (self.what.contains(&What::All) && part != What::Postgres)
    }
}

impl Config {
    /// The common data set on every store; then the large one on Factum, unless it is the same.
    pub(crate) fn sizes(&self) -> Vec<Size> {
        let large = [System::Factum].into_iter().filter(|ours| self.systems.contains(ours)).collect();
        let sizes = [self.common(), Size { set: self.large, systems: large }];
        let distinct = if self.common.events == self.large.events { 1 } else { 2 };
        sizes.into_iter().take(distinct).filter(|size| !size.systems.is_empty()).collect()
    }

    /// The common data set on every store.
    pub(crate) fn common(&self) -> Size {
        let stores = self.systems.iter().copied().filter(|&system| system != System::Bare);
        Size { set: self.common, systems: stores.collect() }
    }

    /// Whether a size is the one that the goals of large data sets are for.
    pub(crate) fn is_large(&self, size: &Size) -> bool {
        size.set.events == self.large.events
    }
}
