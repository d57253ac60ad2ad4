//! What goes to stderr: notes, progress and errors.

use std::io::IsTerminal;

use anstyle::{AnsiColor, Style};

use crate::args::Global;
use crate::exit::Failure;
use crate::output::colored;
use crate::progress::Progress;

/// Stderr, as loud as the user wants it.
pub(crate) struct Console {
    quiet: bool,
    verbose: bool,
    color: bool,
}

impl Console {
    /// As the flags say.
    pub(crate) fn new(global: &Global) -> Self {
        Self { quiet: global.quiet, verbose: global.verbose, color: colored(global.color, &std::io::stderr()) }
    }

    /// Prints what the user should know, unless they want it quiet.
    pub(crate) fn note(&self, text: &str) {
        if !self.quiet {
            eprintln!("{text}");
        }
    }

    /// Prints a step, if the user wants to see each.
    pub(crate) fn detail(&self, text: &str) {
        if self.verbose && !self.quiet {
            eprintln!("{text}");
        }
    }

    /// Shows how far a long command is, of `total` units of work where that is known.
    pub(crate) fn progress(&self, total: Option<u64>) -> Progress {
        Progress::start(total, std::io::stderr().is_terminal(), self.quiet)
    }

    /// Prints why a command failed, and what to do.
    pub(crate) fn report(&self, failure: &Failure) {
        if failure.message.is_empty() {
            return;
        }
        let label = |text, color: AnsiColor| match self.color {
            true => {
                let style = Style::new().fg_color(Some(color.into())).bold();
                format!("{style}{text}{style:#}")
            }
            false => String::from(text),
        };
        eprintln!("{} {}", label("error:", AnsiColor::Red), failure.message);
        if let Some(hint) = &failure.hint {
            eprintln!("\n{} {hint}", label("hint:", AnsiColor::Cyan));
        }
    }
}
