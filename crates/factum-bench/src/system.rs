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
}

impl System {
    /// All of them.
    pub(crate) const ALL: &'static [Self] =
        &[Self::Factum, Self::Bare, Self::Umadb, Self::Sqlite, Self::Partitioned, Self::CqrsEs, Self::Eventsourced];

    /// Those that keep events, and the disk; in the order of the table's columns.
    pub(crate) const STORES: &'static [Self] = &[Self::Factum, Self::Bare, Self::Umadb, Self::Sqlite];

    /// Those that project events into a table; in the order of the table's columns.
    pub(crate) const PROJECTORS: &'static [Self] = &[Self::Factum, Self::Partitioned, Self::CqrsEs, Self::Eventsourced];

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
        }
    }
}
