//! How a command ends: its exit code, and what a failure tells the user.

use std::error::Error;
use std::io;
use std::path::Path;

use factum::{AppendError, Conflict, NameError, StoreError, StoreErrorKind, Version};

/// The exit codes, which scripts rely on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Exit {
    /// Everything asked for is done.
    Done = 0,
    /// It failed, and no other code fits.
    Failed = 1,
    /// The arguments make no command.
    Usage = 2,
    /// The store refused an append for what it holds.
    Conflict = 3,
    /// The store, stream, event or file is not there.
    NotFound = 4,
    /// The store cannot serve now; it may later.
    Unavailable = 5,
    /// A signal ended it.
    Interrupted = 130,
}

/// The exit codes, as `--help` shows them.
pub(crate) const EXIT_CODES: &str = "\
Exit codes:
    0  done
    1  failed: see the message and its hint
    2  usage: the arguments make no command
    3  conflict: the append was refused for what the store holds; nothing was recorded
    4  not found: there is no such store, stream, event or file
    5  unavailable: another process writes to the store, or it cannot serve now
  130  interrupted by SIGINT or SIGTERM";

/// Why a command did not do what was asked, in words for its user.
#[derive(Debug)]
pub(crate) struct Failure {
    /// The exit code.
    pub(crate) exit: Exit,
    /// What failed, a lowercase fragment; causes follow after colons.
    pub(crate) message: String,
    /// What to do about it.
    pub(crate) hint: Option<String>,
}

impl Failure {
    /// A failure with an exit code.
    pub(crate) fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, message: message.into(), hint: None }
    }

    /// A failure that no other exit code fits.
    pub(crate) fn failed(message: impl Into<String>) -> Self {
        Self::new(Exit::Failed, message)
    }

    /// Arguments that make no command.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new(Exit::Usage, message)
    }

    /// Something that is not there.
    pub(crate) fn not_found(message: impl Into<String>) -> Self {
        Self::new(Exit::NotFound, message)
    }

    /// A file that could not be read or written.
    pub(crate) fn file(path: &Path, error: &io::Error) -> Self {
        let exit = if error.kind() == io::ErrorKind::NotFound { Exit::NotFound } else { Exit::Failed };
        Self::new(exit, format!("{}: {error}", path.display()))
    }

    /// With what to do about it.
    #[must_use]
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// With where it happened, in front of the message.
    #[must_use]
    pub(crate) fn context(mut self, place: impl std::fmt::Display) -> Self {
        self.message = format!("{place}: {}", self.message);
        self
    }
}

/// The error and its causes, joined by colons.
pub(crate) fn chain(error: &dyn Error) -> String {
    let (mut text, mut next) = (error.to_string(), error.source());
    while let Some(cause) = next {
        let message = cause.to_string();
        // An error that repeats its cause says it once.
        if !text.contains(&message) {
            text = format!("{text}: {message}");
        }
        next = cause.source();
    }
    text
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        let exit = match error.kind() {
            StoreErrorKind::NotFound => Exit::NotFound,
            StoreErrorKind::Unavailable | StoreErrorKind::Locked | StoreErrorKind::Closed => Exit::Unavailable,
            StoreErrorKind::Invalid => Exit::Usage,
            _ => Exit::Failed,
        };
        let failure = Self::new(exit, chain(&error));
        match advice(error.kind()) {
            Some(hint) => failure.hint(hint),
            None => failure,
        }
    }
}

/// What to do about a failure of the store, where its message alone does not tell.
fn advice(kind: StoreErrorKind) -> Option<&'static str> {
    Some(match kind {
        StoreErrorKind::Locked => "commands that read work beside a writer; to append, end the other process first",
        StoreErrorKind::Corrupt => {
            "append nothing to this store, and open a backup of it with --dir; `factum verify` checks either"
        }
        StoreErrorKind::Unsupported => "use the program that wrote this store, or name another one with --dir or --store",
        StoreErrorKind::Full => {
            "free space on the disk, then run the command again: what is recorded already is not recorded twice"
        }
        StoreErrorKind::ReadOnly => {
            "let this user write to the store: to the files of its folder, or to the tables of its database"
        }
        StoreErrorKind::UnknownOutcome => "run the command again with the same event ids: nothing is recorded twice",
        _ => return None,
    })
}

impl From<AppendError> for Failure {
    fn from(error: AppendError) -> Self {
        let refused = |exit, error: &AppendError| Self::new(exit, format!("nothing was recorded: {}", chain(error)));
        match error {
            AppendError::Store(error) => error.into(),
            AppendError::Conflict(Conflict::Stream { actual: Version::EMPTY, .. }) => {
                refused(Exit::Conflict, &error).hint("the stream has no events: where the append still holds, use --expect none")
            }
            AppendError::Conflict(Conflict::Stream { ref stream, actual, .. }) => refused(Exit::Conflict, &error).hint(format!(
                "look at it with `factum stream show {stream}`; where the append still holds, use --expect {actual}"
            )),
            AppendError::Invalid(_) => refused(Exit::Failed, &error),
            _ => refused(Exit::Conflict, &error),
        }
    }
}

impl From<NameError> for Failure {
    fn from(error: NameError) -> Self {
        Self::failed(error.to_string())
    }
}

/// A failure to write the output. A reader who has seen enough and closed the pipe is no failure.
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::new(Exit::Done, ""),
            _ => Self::failed(format!("cannot write the output: {error}")),
        }
    }
}
