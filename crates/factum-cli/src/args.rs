//! What was typed. `target.rs` and `command/` say what it means.

use std::path::PathBuf;

use clap::builder::FalseyValueParser;
use clap::parser::ValueSource;
use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use factum::{Category, EventId, EventType, Expected, StreamName, Tag, Timestamp};

use crate::exit::EXIT_CODES;
use crate::values;

/// Look at, feed and check event stores.
#[derive(Debug, Parser)]
#[command(name = "factum", version, max_term_width = 100, after_help = EXIT_CODES)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

impl Cli {
    /// Reads the arguments; where they make no command, says so and ends the process.
    pub(crate) fn read() -> Self {
        let matches = Self::command().get_matches();
        let mut cli = Self::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
        let typed = |argument| matches.value_source(argument) == Some(ValueSource::CommandLine);
        // The demo's events could not be taken out again of a store that only the environment names.
        if matches!(cli.command, Command::Demo) && !typed("dir") {
            cli.global.dir = DEMO_DIR.into();
            cli.global.store = cli.global.store.filter(|_| typed("store"));
        }
        match (typed("dir"), typed("store")) {
            (true, true) => {
                let message = "--dir and --store name two stores: leave one of them out";
                Self::command().error(clap::error::ErrorKind::ArgumentConflict, message).exit()
            }
            // What is typed is meant, whatever the environment says.
            (true, false) => cli.global.store = None,
            _ => {}
        }
        cli
    }
}

/// The folder of the demo, unless the arguments name another.
const DEMO_DIR: &str = "factum-demo";

/// The flags of every command.
#[derive(Debug, Args)]
#[command(next_help_heading = "Every command")]
pub(crate) struct Global {
    /// The folder of the store
    #[arg(long, global = true, value_name = "PATH", env = "FACTUM_DIR", default_value = "factum-data")]
    pub(crate) dir: PathBuf,
    /// The database of the store, instead of a folder: postgres://USER@HOST/DATABASE
    #[arg(long, global = true, value_name = "URL", env = "FACTUM_STORE", hide_env_values = true)]
    pub(crate) store: Option<String>,
    /// Which log of the database or of the folder [default: main]
    #[arg(long, global = true, value_name = "NAME", env = "FACTUM_LOG")]
    pub(crate) log: Option<String>,
    /// How to print data: events as ndjson are CloudEvents [default: table on a terminal, else ndjson]
    #[arg(long, global = true, value_name = "FORMAT", env = "FACTUM_FORMAT")]
    pub(crate) format: Option<Format>,
    /// Whether to colour; NO_COLOR is obeyed
    #[arg(long, global = true, value_name = "WHEN", env = "FACTUM_COLOR", default_value = "auto")]
    pub(crate) color: Color,
    /// Print nothing but data and errors, whatever -v says
    #[arg(short, long, global = true, env = "FACTUM_QUIET", value_parser = FalseyValueParser::new())]
    pub(crate) quiet: bool,
    /// Print each step on stderr
    #[arg(short, long, global = true, env = "FACTUM_VERBOSE", value_parser = FalseyValueParser::new())]
    pub(crate) verbose: bool,
}

/// How data is printed. (A comment with three slashes on a value would spread every help over three times the lines.)
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    // For people: columns that line up.
    Table,
    // One JSON document.
    Json,
    // One JSON value a line; events are CloudEvents.
    Ndjson,
    // Comma-separated values, of `export` only.
    Csv,
}

/// When to colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Color {
    // On a terminal, unless NO_COLOR is set.
    Auto,
    Always,
    Never,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Record one event, or CloudEvents from stdin
    Append(Box<Append>),
    /// Print events: of the whole store, or of a stream
    Read(Read),
    /// List streams, or show one
    #[command(subcommand)]
    Stream(Stream),
    /// Print the causes and effects of an event, or a whole conversation
    Trace(Trace),
    /// Print what the data of a stream's events adds up to, or what changed in it
    State(State),
    /// Look at read models, and control them
    #[command(subcommand)]
    Projection(Projection),
    /// Look at consumer groups, and control them
    #[command(subcommand)]
    Group(Group),
    /// List, create and drop the logs of a database or of a folder
    #[command(subcommand)]
    Log(Log),
    /// Print what the store holds
    Stats,
    /// Record the events of a file: CloudEvents, one a line, or CSV
    Import(Box<Import>),
    /// Write events to a file: CloudEvents, one a line, or CSV
    Export(Export),
    /// Copy a log to another place, with its positions, ids and times, and compare the two
    ///
    /// It goes by --from and --to: --dir, --store and --log say nothing to it.
    Copy(Copy),
    /// Bring the schema of a database to this program's version
    Migrate,
    /// Check all of the store: every byte of a folder, and print a receipt of it
    Verify(Verify),
    /// Copy the store to a folder while it is in use
    Backup(Backup),
    /// Measure this machine: appends to a throw-away store, or reads of this one
    #[command(subcommand)]
    Bench(Bench),
    /// Run the example bank on a store in ./factum-demo, or in --dir or --store, and say what it does
    Demo,
    /// Print the script that completes `factum` in a shell
    Completions {
        /// The shell
        shell: Shell,
    },
    /// Write the man pages
    #[command(hide = true)]
    Man {
        /// The folder to write to
        dir: PathBuf,
    },
}

/// `factum append`
#[derive(Debug, Args)]
#[command(after_help = "Without --data, stdin has CloudEvents, one a line, and all of them are recorded or none.")]
pub(crate) struct Append {
    /// The stream; may be left out where each line has a `subject`
    pub(crate) stream: Option<StreamName>,
    /// The event's data, JSON: as text, as @FILE, or - for stdin
    #[arg(long, value_name = "JSON|@FILE|-", requires = "event_type", requires = "stream", allow_hyphen_values = true)]
    pub(crate) data: Option<String>,
    /// The event's type
    #[arg(long = "type", value_name = "TYPE", requires = "data")]
    pub(crate) event_type: Option<EventType>,
    /// What must hold of the stream: any, none (no events yet), exists, or its version
    #[arg(long, value_name = "any|none|exists|VERSION", default_value = "any", value_parser = values::expected)]
    pub(crate) expect: Expected,
    /// The event's id: an append repeated with the same ids records nothing twice [default: a new one]
    #[arg(long, value_name = "UUID", requires = "data")]
    pub(crate) id: Option<EventId>,
    /// The id of the event that directly caused it
    #[arg(long, value_name = "UUID", requires = "data")]
    pub(crate) causation: Option<EventId>,
    /// The conversation that it is part of
    #[arg(long, value_name = "ID", requires = "data")]
    pub(crate) correlation: Option<String>,
    /// Who did it
    #[arg(long, value_name = "NAME", requires = "data")]
    pub(crate) actor: Option<String>,
    /// A tag to find it by; may be given more than once
    #[arg(long = "tag", value_name = "KEY:VALUE", requires = "data")]
    pub(crate) tags: Vec<Tag>,
    /// A header of its metadata; may be given more than once
    #[arg(long = "header", value_name = "NAME=VALUE", requires = "data", value_parser = values::pair)]
    pub(crate) headers: Vec<(String, String)>,
    /// Append this many lines at a time, instead of all of them or none
    #[arg(long, value_name = "N", conflicts_with_all = ["data", "expect"], value_parser = values::batch())]
    pub(crate) batch: Option<u64>,
}

/// Which events `read` and `export` select.
#[derive(Debug, Args)]
pub(crate) struct Filters {
    /// The stream [default: the whole store]
    pub(crate) stream: Option<StreamName>,
    /// Only streams of this category
    #[arg(long, conflicts_with = "stream")]
    pub(crate) category: Option<Category>,
    /// Only events of this type; of any of them, where given more than once
    #[arg(long = "type", value_name = "TYPE")]
    pub(crate) event_types: Vec<EventType>,
    /// Only events with this tag; with all of them, where given more than once
    #[arg(long = "tag", value_name = "KEY:VALUE")]
    pub(crate) tags: Vec<Tag>,
    /// Only events after this position; with a stream, after this version of it
    #[arg(long, value_name = "N")]
    pub(crate) after: Option<u64>,
    /// Only the last N of them
    #[arg(long, value_name = "N", conflicts_with_all = ["after", "since"], value_parser = values::count())]
    pub(crate) last: Option<u64>,
    /// Only events recorded since then: a time (RFC 3339), or an age such as 90s, 15m, 2h or 7d
    #[arg(long, value_name = "TIME", value_parser = values::since)]
    pub(crate) since: Option<Timestamp>,
    /// At most N events
    #[arg(long, value_name = "N", value_parser = values::count())]
    pub(crate) limit: Option<u64>,
    /// The last event first
    #[arg(long)]
    pub(crate) backward: bool,
}

/// `factum read`
#[derive(Debug, Args)]
#[command(after_help = "`factum read --format ndjson | factum --dir COPY append` is a faithful copy.")]
pub(crate) struct Read {
    #[command(flatten)]
    pub(crate) filters: Filters,
    /// Stay at the end and print what is recorded, until SIGINT or SIGTERM
    #[arg(long, conflicts_with = "backward")]
    pub(crate) follow: bool,
}

/// `factum stream`
#[derive(Debug, Subcommand)]
pub(crate) enum Stream {
    /// List streams in the order of their first events
    Ls {
        /// Only streams of this category
        #[arg(long)]
        category: Option<Category>,
        /// Only streams whose names begin like this
        #[arg(long, default_value = "", hide_default_value = true)]
        prefix: String,
        /// At most N streams
        #[arg(long, value_name = "N", value_parser = values::count())]
        limit: Option<u64>,
    },
    /// Show a stream's version, its first and last change, and its last events
    Show {
        /// The stream
        stream: StreamName,
        /// How many of its last events
        #[arg(long, value_name = "N", default_value_t = 10, value_parser = values::batch())]
        last: u64,
    },
}

/// `factum trace`
#[derive(Debug, Args)]
pub(crate) struct Trace {
    /// An event's id: its causes up to the root, and its effects. Or a correlation id: all of the conversation
    pub(crate) id: String,
    /// At most N events
    #[arg(long, value_name = "N", default_value_t = 1_000, value_parser = values::batch())]
    pub(crate) limit: u64,
}

/// `factum state`
#[derive(Debug, Args)]
#[command(after_help = "\
The data of the events is merged in their order, each as a JSON merge patch (RFC 7386): what the application makes of them may
be something else.")]
pub(crate) struct State {
    /// The stream
    pub(crate) stream: StreamName,
    /// As of a version of the stream, or of a time (RFC 3339) [default: now]
    #[arg(long, value_name = "VERSION|TIME", value_parser = values::at)]
    pub(crate) at: Option<values::At>,
    /// What changed from one version to another
    #[arg(long, value_name = "N..M", conflicts_with = "at", value_parser = values::versions)]
    pub(crate) diff: Option<(factum::Version, factum::Version)>,
}

/// Where the read models are.
#[derive(Debug, Args)]
pub(crate) struct ReadDatabase {
    /// The SQLite file or the database of the read models [default: the database of --store, or read.sqlite]
    #[arg(id = "read-db", long = "read-db", value_name = "PATH|URL", env = "FACTUM_READ_DB")]
    pub(crate) place: Option<String>,
}

/// `factum projection`
#[derive(Debug, Subcommand)]
pub(crate) enum Projection {
    /// List read models, with their lag behind the log of --dir or --store
    Ls {
        #[command(flatten)]
        db: ReadDatabase,
    },
    /// Show a read model and its partitions
    Show {
        /// The projection, whose live read model is meant, or a read model such as balances@2
        name: String,
        #[command(flatten)]
        db: ReadDatabase,
    },
    /// Let a read model wait
    Pause {
        /// The projection, or a read model
        name: String,
        #[command(flatten)]
        db: ReadDatabase,
    },
    /// Let a read model go on, after a pause or a failure
    Resume {
        /// The projection, or a read model
        name: String,
        #[command(flatten)]
        db: ReadDatabase,
    },
    /// Make a read model again, beside the live one, which it replaces when it has caught up
    Rebuild {
        /// The projection, or a read model
        name: String,
        /// Drop the read model that is filled beside the live one
        #[arg(long, conflicts_with_all = ["stream", "rate"])]
        cancel: bool,
        /// Make only what comes of this stream again, in the read model itself
        #[arg(long, conflicts_with = "rate")]
        stream: Option<StreamName>,
        /// Make nothing again, but let the named read model handle N events a second at most in each partition; 0 for any number
        #[arg(long, value_name = "N")]
        rate: Option<u32>,
        #[command(flatten)]
        db: ReadDatabase,
    },
    /// Drop a read model that another has replaced, or that is filled
    Drop {
        /// The read model, such as balances@1
        name: factum::ReadModelName,
        #[command(flatten)]
        db: ReadDatabase,
    },
    /// List parked events
    Parked {
        /// The projection, or a read model
        name: String,
        #[command(flatten)]
        db: ReadDatabase,
    },
    /// Try a parked event again, with what waits behind it
    Retry {
        /// The projection, or a read model
        name: String,
        /// Where the event is
        position: u64,
        #[command(flatten)]
        db: ReadDatabase,
    },
    /// Forget a parked event, and go on with what waits behind it
    Discard {
        /// The projection, or a read model
        name: String,
        /// Where the event is
        position: u64,
        #[command(flatten)]
        db: ReadDatabase,
    },
}

impl Projection {
    /// Where the read models are.
    pub(crate) fn db(&self) -> &ReadDatabase {
        match self {
            Self::Ls { db, .. }
            | Self::Show { db, .. }
            | Self::Pause { db, .. }
            | Self::Resume { db, .. }
            | Self::Rebuild { db, .. }
            | Self::Drop { db, .. }
            | Self::Parked { db, .. }
            | Self::Retry { db, .. }
            | Self::Discard { db, .. } => db,
        }
    }
}

/// `factum group`
#[derive(Debug, Subcommand)]
pub(crate) enum Group {
    /// List groups, with their lag
    Ls,
    /// Show a group's members and partitions
    Show {
        /// The group
        name: String,
    },
    /// List parked events
    Parked {
        /// The group
        name: String,
    },
    /// Have a parked event delivered again, or all of them
    Retry {
        /// The group
        name: String,
        /// Where the event is [default: all of them]
        position: Option<u64>,
    },
    /// Forget a parked event
    Discard {
        /// The group
        name: String,
        /// Where the event is
        position: u64,
    },
    /// Have everything after a position delivered again, and forget what is parked
    Reset {
        /// The group
        name: String,
        /// The position
        #[arg(long, value_name = "POSITION")]
        to: u64,
    },
    /// Remove a group
    Rm {
        /// The group
        name: String,
    },
}

/// `factum import`
#[derive(Debug, Args)]
#[command(after_help = "\
An import can be run again, after an interruption or a mended row: what is recorded already is not recorded twice. A row of a
CSV file is known by the name of the import, its number and its content.")]
pub(crate) struct Import {
    /// The file, or - for stdin
    pub(crate) file: PathBuf,
    /// The file is CSV [default: where its name ends in .csv]
    #[arg(long)]
    pub(crate) csv: bool,
    #[command(flatten)]
    pub(crate) columns: Columns,
    /// The name of the import, by which its rows are known again [default: the file's name]
    #[arg(long, value_name = "NAME")]
    pub(crate) source: Option<String>,
    /// Events an append: all of these are recorded or none
    #[arg(long, value_name = "N", default_value_t = 500, value_parser = values::batch())]
    pub(crate) batch: u64,
}

/// Which columns of a CSV file mean what. All of the columns are the event's data, too.
#[derive(Debug, Args)]
#[command(next_help_heading = "CSV")]
pub(crate) struct Columns {
    /// The column that names the stream
    #[arg(long, value_name = "COLUMN")]
    pub(crate) stream: Option<String>,
    /// The category to put before it: CATEGORY-value
    #[arg(long, value_name = "CATEGORY")]
    pub(crate) category: Option<Category>,
    /// The column that names the event's type
    #[arg(long = "type", value_name = "COLUMN")]
    pub(crate) event_type: Option<String>,
    /// The column that says when it happened
    #[arg(long, value_name = "COLUMN")]
    pub(crate) time: Option<String>,
    /// The zone of times that name none: utc, or an offset such as +02:00
    #[arg(long, value_name = "ZONE", requires = "time", value_parser = values::zone, allow_hyphen_values = true)]
    pub(crate) time_zone: Option<String>,
    /// The column that says who did it
    #[arg(long, value_name = "COLUMN")]
    pub(crate) actor: Option<String>,
    /// A column whose value becomes a tag, under the column's name or another key; may be given more than once
    #[arg(long = "tag", value_name = "COLUMN|KEY=COLUMN")]
    pub(crate) tags: Vec<String>,
}

/// `factum export`
#[derive(Debug, Args)]
#[command(after_help = "\
With --format csv, a row has the members of the event's data, in the order in which they first appear: what was imported from a
CSV file is written as it was read.")]
pub(crate) struct Export {
    #[command(flatten)]
    pub(crate) filters: Filters,
    /// The file to write; it is there when it is complete [default: stdout]
    #[arg(long, short, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// Begin each CSV row with the event's position, stream, version, type, time and actor
    #[arg(long)]
    pub(crate) envelope: bool,
}

/// `factum log`
#[derive(Debug, Subcommand)]
pub(crate) enum Log {
    /// List logs
    Ls,
    /// Create a log
    Create {
        /// The log
        name: String,
    },
    /// Drop a log with all of its events
    Drop {
        /// The log
        name: String,
        /// They are to be gone for good
        #[arg(long)]
        yes: bool,
    },
    /// Detach the oldest events of a database, of all of its logs, as a table to be dumped and dropped
    #[command(after_help = "\
What is printed is the name of the table. `pg_dump --table=factum.NAME` writes it to a file; after `DROP TABLE factum.NAME` its
space is free. Whoever reads its events is told that they are archived.")]
    Archive,
    /// Attach the events that were archived last, from the table that they were restored to
    Attach,
}

/// `factum copy`
#[derive(Debug, Args)]
#[command(after_help = "\
A copy can be run again, after an interruption or to take what was recorded since: it goes on where it was. Nobody else may write
to the target meanwhile.")]
pub(crate) struct Copy {
    /// The folder or the database to copy from
    #[arg(long, value_name = "PATH|URL")]
    pub(crate) from: String,
    /// Which of its logs [default: main]
    #[arg(long, value_name = "NAME")]
    pub(crate) from_log: Option<String>,
    /// The folder or the database to copy to: a log that is empty, or that this copy was begun in
    #[arg(long, value_name = "PATH|URL")]
    pub(crate) to: String,
    /// Which of its logs [default: main]
    #[arg(long, value_name = "NAME")]
    pub(crate) to_log: Option<String>,
}

/// `factum verify`
#[derive(Debug, Args)]
pub(crate) struct Verify {
    /// A receipt printed before: fail where anything up to it has changed since
    #[arg(long, value_name = "LINE|@FILE")]
    pub(crate) receipt: Option<String>,
}

/// `factum backup`
#[derive(Debug, Args)]
pub(crate) struct Backup {
    /// The folder to copy to
    pub(crate) to: PathBuf,
}

/// `factum bench`
#[derive(Debug, Subcommand)]
pub(crate) enum Bench {
    /// Append to a new store beside this one, which is removed afterwards
    Append(Load),
    /// Read this store from its start to its end, over and over
    Read(Load),
}

/// What a benchmark does.
#[derive(Debug, Clone, Args)]
pub(crate) struct Load {
    /// How many at the same time
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = values::clients())]
    pub(crate) clients: u64,
    /// Events an append, or a page
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = values::batch())]
    pub(crate) batch: u64,
    /// Bytes of data an event that is appended
    #[arg(long, value_name = "BYTES", default_value_t = 200, value_parser = values::size())]
    pub(crate) size: u64,
    /// For how long
    #[arg(long = "for", value_name = "DURATION", default_value = "5s", value_parser = values::duration)]
    pub(crate) duration: std::time::Duration,
}
