//! The commands, one file each.

mod append;
mod read;
mod stream;
mod trace;
mod state;
mod projection;
mod group;
mod log;
mod stats;
mod import;
mod export;
mod copy;
mod migrate;
mod verify;
mod backup;
mod bench;
mod demo;
mod shell;

use crate::args::{Cli, Command, Format};
use crate::console::Console;
use crate::exit::Failure;
use crate::output::Output;
use crate::target::Target;

/// What every command is given.
pub(crate) struct Context<'a> {
    /// The store.
    pub(crate) target: Target,
    /// For data.
    pub(crate) output: Output,
    /// For everything else.
    pub(crate) console: &'a Console,
}

/// Does what was typed.
pub(crate) async fn run(cli: Cli, console: &Console) -> Result<(), Failure> {
    let Cli { mut global, command } = cli;
    if matches!(command, Command::Log(_)) {
        // It is about all logs of the place, and names the one itself.
        global.log = None;
    }
    if global.format == Some(Format::Csv) && !matches!(command, Command::Export(_)) {
        return Err(Failure::usage("--format csv is for `export`: choose table, json or ndjson"));
    }
    let target = Target::of(&global)?;
    match &target {
        Target::Folder(dir) => console.detail(&format!("store: {}", dir.display())),
        // The URL may have a password in it.
        Target::Postgres { log, .. } => console.detail(&format!("store: the log {log} of a database")),
    }
    let context = Context { output: Output::new(&global), target, console };
    match command {
        Command::Append(args) => append::run(*args, context).await,
        Command::Read(args) => read::run(args, context).await,
        Command::Stream(args) => stream::run(args, context).await,
        Command::Trace(args) => trace::run(args, context).await,
        Command::State(args) => state::run(args, context).await,
        Command::Projection(args) => projection::run(args, context).await,
        Command::Group(args) => group::run(args, context).await,
        Command::Log(args) => log::run(args, context).await,
        Command::Copy(args) => copy::run(args, context).await,
        Command::Migrate => migrate::run(context).await,
        Command::Stats => stats::run(context).await,
        Command::Import(args) => import::run(*args, context).await,
        Command::Export(args) => export::run(args, context).await,
        Command::Verify(args) => verify::run(args, context).await,
        Command::Backup(args) => backup::run(args, context).await,
        Command::Bench(args) => bench::run(args, context).await,
        Command::Demo => demo::run(context).await,
        Command::Completions { shell } => shell::completions(shell, context),
        Command::Man { dir } => shell::man(&dir, &context),
    }
}
