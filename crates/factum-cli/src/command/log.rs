//! `factum log`: the logs of a database, or of a folder, each a world of its own.

use std::path::Path;

use factum_postgres::{DEFAULT_LOG, Logs};
use serde::Serialize;

use crate::args;
use crate::command::Context;
use crate::exit::{Exit, Failure};
use crate::target::{LOGS, Target, folder};

/// A log in a list.
#[derive(Serialize)]
struct Row {
    log: String,
}

/// Does one of them.
pub(crate) async fn run(args: args::Log, mut context: Context<'_>) -> Result<(), Failure> {
    use args::Log;
    match args {
        Log::Ls => {
            let logs = list(&context.target).await?;
            context.output.rows(&logs.into_iter().map(|log| Row { log }).collect::<Vec<_>>())?;
            context.output.finish()
        }
        Log::Create { name } => {
            let created = match &context.target {
                Target::Postgres { url, .. } => Logs::at(url)?.create(&name).await?,
                Target::Folder(dir) => create(dir, &name).await?,
            };
            let there = || Failure::new(Exit::Conflict, format!("there is a log {name} already"));
            created.then_some(()).ok_or_else(there)?;
            context.console.note(&format!("{name} is created"));
            Ok(())
        }
        Log::Drop { name, yes } => {
            if !yes {
                let message = format!("all events of {name} would be gone for good");
                return Err(Failure::usage(message).hint("say --yes where that is what you want"));
            }
            let dropped = match &context.target {
                Target::Postgres { url, .. } => Logs::at(url)?.drop(&name).await?,
                Target::Folder(dir) => drop_folder(dir, &name)?,
            };
            dropped.then_some(()).ok_or_else(|| Failure::not_found(format!("there is no log {name}")))?;
            context.console.note(&format!("{name} is dropped"));
            Ok(())
        }
        Log::Archive => {
            let table = logs(&context.target)?.detach_oldest().await?;
            context.console.note(&format!("detached: dump factum.{table}, and drop it"));
            context.output.record(&Detached { table })
        }
        Log::Attach => {
            let table = logs(&context.target)?.attach_newest().await?;
            context.console.note(&format!("factum.{table} is attached"));
            Ok(())
        }
    }
}

/// What was detached.
#[derive(Serialize)]
struct Detached {
    table: String,
}

fn logs(target: &Target) -> Result<Logs, Failure> {
    match target {
        Target::Postgres { url, .. } => Ok(Logs::at(url)?),
        Target::Folder(_) => Err(Failure::usage("a folder has no partitions").hint("name a database with --store")),
    }
}

async fn list(target: &Target) -> Result<Vec<String>, Failure> {
    let dir = match target {
        Target::Postgres { url, .. } => return Ok(Logs::at(url)?.list().await?),
        Target::Folder(dir) => dir,
    };
    let mut logs = Vec::new();
    if target.reader().await.is_ok() {
        logs.push(DEFAULT_LOG.to_owned());
    }
    for entry in std::fs::read_dir(dir.join(LOGS)).into_iter().flatten() {
        let name = entry.map_err(|error| Failure::file(dir, &error))?.file_name();
        logs.extend(name.to_str().map(str::to_owned));
    }
    logs.sort();
    Ok(logs)
}

async fn create(dir: &Path, name: &str) -> Result<bool, Failure> {
    let target = Target::Folder(log_folder(dir, name)?);
    if target.reader().await.is_ok() {
        return Ok(false);
    }
    target.writer().await?.close().await;
    Ok(true)
}

/// Removes the folder of a log that nobody writes to.
fn drop_folder(dir: &Path, name: &str) -> Result<bool, Failure> {
    let folder = log_folder(dir, name)?;
    if !folder.exists() {
        return Ok(false);
    }
    // Whoever writes to it keeps its lock.
    factum_embedded::open(&folder)?.close();
    std::fs::remove_dir_all(&folder).map_err(|error| Failure::file(&folder, &error))?;
    Ok(true)
}

fn log_folder(dir: &Path, name: &str) -> Result<std::path::PathBuf, Failure> {
    if name == DEFAULT_LOG {
        return Err(Failure::usage(format!("{DEFAULT_LOG} is the folder itself: choose another name")));
    }
    folder(dir, Some(name))
}
