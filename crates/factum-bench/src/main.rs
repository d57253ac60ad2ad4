//! Factum beside its peers: one table of ratios, from one run.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::Parser;

mod system;
use system::System;
mod config;
use config::{Arguments, Config, What};
mod workload;
mod stats;
mod command;
mod converse;
mod peer;
mod measure;
mod deposit;
mod moments;
mod entry;
mod contender;
mod contending;
mod database;
mod projector;
mod projection;
mod serve;
mod child;
mod loaded;
use loaded::Loaded;
mod machine;
mod table;
use table::Table;
mod row;

/// The allocator of all systems, as programs that care for speed have one.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> Result<()> {
    match served() {
        Some((serve, system, folder)) => serve(system, &folder),
        None => compare(&Arguments::parse()),
    }
}

/// What serves a system.
type Serve = fn(System, &Path) -> Result<()>;

/// The system that this process is to serve, where the measuring process started it: `serve SYSTEM FOLDER`.
fn served() -> Option<(Serve, System, PathBuf)> {
    let mut arguments = std::env::args_os().skip(1);
    let serve: Serve = match arguments.next()?.to_str()? {
        "serve" => serve::serve,
        "serve-projection" => serve::serve_projection,
        "serve-postgres" => serve::serve_postgres,
        _ => return None,
    };
    let name = arguments.next()?;
    let system = System::ALL.iter().copied().find(|system| name == system.name())?;
    Some((serve, system, arguments.next()?.into()))
}

fn compare(arguments: &Arguments) -> Result<()> {
    let config = arguments.config();
    std::fs::create_dir(&config.folder)
        .with_context(|| format!("cannot create {}: remove it, or name another folder with --dir", config.folder.display()))?;
    let mut table = Table::default();
    let measured = measure(arguments, &config, &mut table);
    let removed = std::fs::remove_dir_all(&config.folder);
    measured?;
    removed?;
    println!("{}\n\n{table}", head(&config));
    eprintln!("{} goals lost", table.lost());
    if let Some(path) = &arguments.json {
        std::fs::write(path, serde_json::to_string_pretty(&table)?)?;
    }
    Ok(())
}

fn measure(arguments: &Arguments, config: &Config, table: &mut Table) -> Result<()> {
    let mut loaded = Loaded::new(&config.folder);
    let asks_for = |part| arguments.asks_for(part);
    if asks_for(What::Append) {
        row::append::run(config, table)?;
    }
    if asks_for(What::Read) {
        row::read::run(config, &mut loaded, table)?;
    }
    if asks_for(What::Stream) {
        row::stream::run(config, &mut loaded, table)?;
    }
    if asks_for(What::Disk) {
        row::disk::run(config, &mut loaded, table)?;
    }
    if asks_for(What::Memory) {
        row::memory::run(config, &mut loaded, table)?;
    }
    if asks_for(What::Dcb) {
        row::dcb::run(config, &mut loaded, table)?;
    }
    if asks_for(What::Open) {
        row::open::run(config, &mut loaded, table)?;
    }
    if asks_for(What::Project) {
        row::project::run(config, table)?;
    }
    if asks_for(What::Postgres) {
        row::postgres::run(config, table)?;
    }
    Ok(())
}

/// What the table is about, and how to read it.
fn head(config: &Config) -> String {
    format!(
        "Factum {} on {}; UmaDB {}, SQLite {}. Medians of {} rounds of {} s, the systems in turns. In brackets: how many \
         times as good as the other Factum is, by rates, by p99, or by size. Events of {} bytes of data and 2 tags; each \
         append expects its stream's version. The limit of appends is a loop that writes the bytes of one append of every \
         writer and syncs once; the limit of reading is to read Factum's own files and check their bytes. Memory is what \
         no file backs; mimalloc allocates it for all.",
        env!("CARGO_PKG_VERSION"),
        machine::describe(),
        peer::umadb::VERSION,
        rusqlite::version(),
        config.rounds,
        config.seconds,
        workload::DATA_BYTES,
    )
}
