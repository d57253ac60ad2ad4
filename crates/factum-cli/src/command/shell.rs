//! `factum completions` and `factum man`: what a shell and a manual know of this program.

use std::path::Path;

use clap::CommandFactory;
use clap_complete::Shell;

use crate::args::Cli;
use crate::command::Context;
use crate::exit::Failure;

/// Prints a shell's completion script.
pub(crate) fn completions(shell: Shell, mut context: Context<'_>) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "factum", &mut script);
    context.output.text(&String::from_utf8_lossy(&script))?;
    context.output.flush()
}

/// Writes a manual page for each command.
pub(crate) fn man(dir: &Path, context: &Context<'_>) -> Result<(), Failure> {
    let written = std::fs::create_dir_all(dir).and_then(|()| clap_mangen::generate_to(Cli::command(), dir));
    written.map_err(|error| Failure::file(dir, &error))?;
    context.console.note(&format!("manual pages written to {}", dir.display()));
    Ok(())
}
