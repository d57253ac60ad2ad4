//! The systems that are compared.

/// The systems.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, clap::ValueEnum)]
pub(crate) enum System {
    /// Factum: its embedded store, and its projections into SQLite.
    Factum,
    /// No store at all: what the disk allows.
    Bare,
    /// UmaDB's core.
    Umadb,
    /// SQLite.
    Sqlite,
    /// Factum, with a projection in four partitions.
    Partitioned,
    /// cqrs-es on SQLite.
    CqrsEs,
    /// eventsourced on PostgreSQL.
    Eventsourced,
    /// Factum on PostgreSQL, in two processes that share the writers.
    TwoProcesses,
    /// Factum on PostgreSQL, in eight logs that share the writers.
    EightLogs,
    /// disintegrate on PostgreSQL.
    Disintegrate,
    /// cqrs-es on PostgreSQL.
    PostgresEs,
    /// eventcore on PostgreSQL.
    Eventcore,
    /// Python's eventsourcing on PostgreSQL.
    Eventsourcing,
}

impl System {
    /// All of them.
    pub(crate) const ALL: &'static [Self] = &[
        Self::Factum,
        Self::Bare,
        Self::Umadb,
        Self::Sqlite,
        Self::Partitioned,
        Self::CqrsEs,
        Self::Eventsourced,
        Self::TwoProcesses,
        Self::EightLogs,
        Self::Disintegrate,
        Self::PostgresEs,
        Self::Eventcore,
        Self::Eventsourcing,
    ];

    /// Those that keep events, and the disk; in the order of the table's columns.
    pub(crate) const STORES: &'static [Self] = &[Self::Factum, Self::Bare, Self::Umadb, Self::Sqlite];

    /// Those that project events into a table; in the order of the table's columns.
    pub(crate) const PROJECTORS: &'static [Self] = &[Self::Factum, Self::Partitioned, Self::CqrsEs, Self::Eventsourced];

    /// Those that keep events in PostgreSQL; in the order of the table's columns.
    pub(crate) const ON_POSTGRES: &'static [Self] =
        &[Self::Factum, Self::TwoProcesses, Self::Disintegrate, Self::PostgresEs, Self::Eventcore, Self::Eventsourcing];

    /// Factum in one log, and in several.
    pub(crate) const LOGS: &'static [Self] = &[Self::Factum, Self::EightLogs];

    /// Its name on the command line.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Factum => "factum",
            Self::Bare => "bare",
            Self::Umadb => "umadb",
            Self::Sqlite => "sqlite",
            Self::Partitioned => "partitioned",
            Self::CqrsEs => "cqrs-es",
            Self::Eventsourced => "eventsourced",
            Self::TwoProcesses => "two-processes",
            Self::EightLogs => "eight-logs",
            Self::Disintegrate => "disintegrate",
            Self::PostgresEs => "postgres-es",
            Self::Eventcore => "eventcore",
            Self::Eventsourcing => "eventsourcing",
        }
    }

    /// The heading of its column.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Factum => "Factum",
            Self::Bare => "the limit",
            Self::Umadb => "UmaDB",
            Self::Sqlite => "SQLite",
            Self::Partitioned => "Factum, 4 partitions",
            Self::CqrsEs => "cqrs-es",
            Self::Eventsourced => "eventsourced",
            Self::TwoProcesses => "Factum, 2 processes",
            Self::EightLogs => "Factum, 8 logs",
            Self::Disintegrate => "disintegrate",
            Self::PostgresEs => "postgres-es",
            Self::Eventcore => "eventcore",
            Self::Eventsourcing => "eventsourcing",
        }
    }
}
