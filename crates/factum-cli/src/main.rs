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
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::args::Cli;
use crate::console::Console;
use crate::exit::{Exit, Failure};

/// A page of events is large and short-lived: this allocator reuses its memory, where others give it back each time.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// How long a command has to clean up after a signal, before the process ends whatever it does.
const GRACE: Duration = Duration::from_millis(500);

fn main() -> ExitCode {
    let cli = Cli::read();
    let console = Console::new(&cli.global);
    let exit = match run(cli, &console) {
        Ok(exit) => exit,
        Err(failure) => {
            console.report(&failure);
            failure.exit
        }
    };
    ExitCode::from(exit as u8)
}

/// Runs the command until it ends or is interrupted: an append is recorded whole or not at all, whenever that is.
fn run(cli: Cli, console: &Console) -> Result<Exit, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::failed(format!("cannot start threads: {error}")))?;
    let _inside = runtime.enter();
    let interrupted = CancellationToken::new();
    let interruption = interruption();
    let interrupt = interrupted.clone();
    runtime.spawn(async move {
        interruption.await;
        interrupt.cancel();
        tokio::time::sleep(GRACE).await;
        std::process::exit(Exit::Interrupted as i32);
    });
    match runtime.block_on(interrupted.run_until_cancelled(command::run(cli, console))) {
        Some(ended) => ended.map(|()| Exit::Done),
        None => Ok(Exit::Interrupted),
    }
}

/// SIGINT or SIGTERM, listened for from now on.
#[cfg(unix)]
fn interruption() -> impl Future<Output = ()> {
    use tokio::signal::unix::{SignalKind, signal};
    let signals = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()));
    async move {
        match signals {
            (Ok(mut interrupt), Ok(mut terminate)) => tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            },
            // Without a handler, a signal ends the process by itself.
            _ => std::future::pending().await,
        }
    }
}

/// Ctrl-C.
#[cfg(not(unix))]
async fn interruption() {
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending().await
    }
}
