//! The binary `factum`: the arguments, the command that they name, and its exit code.

mod args;
mod values;

mod target;
mod selection;
mod command;

mod input;
mod cloud_event;
mod members;
mod csv;
mod destination;

mod output;
mod table;
mod console;
mod progress;
mod exit;

use std::process::ExitCode;

use crate::args::Cli;
use crate::console::Console;
use crate::exit::{Exit, Failure};

/// A page of events is large and short-lived: this allocator reuses its memory, where others give it back each time.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = Cli::read();
    let console = Console::new(&cli.global);
    let ended = start().and_then(|runtime| runtime.block_on(command::run(cli, &console)));
    let exit = match ended {
        Ok(()) => Exit::Done,
        Err(failure) => {
            console.report(&failure);
            failure.exit
        }
    };
    ExitCode::from(exit as u8)
}

/// The runtime of the commands. A signal ends the process at once: an append is recorded whole or not at all, whenever that is.
fn start() -> Result<tokio::runtime::Runtime, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::failed(format!("cannot start threads: {error}")))?;
    runtime.spawn(async {
        interrupted().await;
        std::process::exit(Exit::Interrupted as i32);
    });
    Ok(runtime)
}

/// Waits for SIGINT or SIGTERM.
#[cfg(unix)]
async fn interrupted() {
    use tokio::signal::unix::{SignalKind, signal};
    match signal(SignalKind::terminate()) {
        Ok(mut terminate) => tokio::select! {
            _ = tokio::signal::ctrl_c() => {}
            _ = terminate.recv() => {}
        },
        // Without a handler, a signal ends the process by itself.
        Err(_) => std::future::pending().await,
    }
}

/// Waits for Ctrl-C.
#[cfg(not(unix))]
async fn interrupted() {
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending().await
    }
}
