//! The process of one system, from the measuring side: each has its own, so that memory, caches and kills are its own.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{ChildStdin, ChildStdout, Stdio};

use anyhow::{Context, Result, bail};

use crate::command::{Command, Memory, Reply, Sample};
use crate::contending::python;
use crate::converse::ANSWER;
use crate::projection::program;
use crate::system::System;

/// A running process that has a system open. Dropping it kills the process.
pub(crate) struct Child {
    system: System,
    process: std::process::Child,
    commands: ChildStdin,
    answers: BufReader<ChildStdout>,
    opened: Sample,
}

impl Child {
    /// Starts the process, and opens the system on the folder, which is created where it is missing.
    ///
    /// # Errors
    /// Where the process does not start or the system does not open.
    pub(crate) fn start(system: System, folder: &Path) -> Result<Self> {
        std::fs::create_dir_all(folder)?;
        Self::spawn(system, own("serve", system)?, folder.as_os_str())
    }

    /// The same of a system that projects.
    ///
    /// # Errors
    /// As [`Child::start`]; and where the system's program cannot be built.
    pub(crate) fn start_projecting(system: System, folder: &Path) -> Result<Self> {
        let program = match system {
            System::CqrsEs => std::process::Command::new(program::cqrs_es()?),
            _ => own("serve-projection", system)?,
        };
        std::fs::create_dir_all(folder)?;
        Self::spawn(system, program, folder.as_os_str())
    }

    /// The same of a system on PostgreSQL, with the URL of its database.
    ///
    /// # Errors
    /// As [`Child::start_projecting`].
    pub(crate) fn start_on_postgres(system: System, url: &str) -> Result<Self> {
        let program = match system {
            System::Eventsourcing => python::eventsourcing()?,
            System::Disintegrate | System::PostgresEs | System::Eventcore => {
                let mut program = std::process::Command::new(program::postgres()?);
                program.arg(system.name());
                program
            }
            _ => own("serve-postgres", system)?,
        };
        Self::spawn(system, program, url.as_ref())
    }

    fn spawn(system: System, mut program: std::process::Command, place: &OsStr) -> Result<Self> {
        let mut process = program
            .arg(place)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start the process of a system")?;
        let commands = process.stdin.take().context("no pipe to the process")?;
        let answers = BufReader::new(process.stdout.take().context("no pipe from the process")?);
        let mut child = Self { system, process, commands, answers, opened: Sample::default() };
        child.opened = child.measured()?;
        Ok(child)
    }

    /// How long the system took to open.
    pub(crate) fn opened(&self) -> Sample {
        self.opened
    }

    /// Has something measured.
    ///
    /// # Errors
    /// What failed in the process.
    pub(crate) fn measure(&mut self, command: &Command) -> Result<Sample> {
        self.send(command)?;
        self.measured()
    }

    /// What was measured, of a command that was sent before.
    ///
    /// # Errors
    /// What failed in the process.
    pub(crate) fn measured(&mut self) -> Result<Sample> {
        match self.answer()? {
            Reply::Sample(sample) => Ok(sample),
            other => bail!("unexpected answer {other:?}"),
        }
    }

    /// Asks for the memory of the process.
    ///
    /// # Errors
    /// What failed in the process.
    pub(crate) fn memory(&mut self) -> Result<Memory> {
        self.send(&Command::Memory)?;
        match self.answer()? {
            Reply::Memory(memory) => Ok(memory),
            other => bail!("unexpected answer {other:?}"),
        }
    }

    /// Closes the system and waits for the end of the process.
    ///
    /// # Errors
    /// What failed in the process.
    pub(crate) fn close(mut self) -> Result<Sample> {
        let closed = self.measure(&Command::Close)?;
        self.process.wait()?;
        Ok(closed)
    }

    /// Kills the process, with no chance to close anything.
    ///
    /// # Errors
    /// Where it cannot be killed.
    pub(crate) fn kill(mut self) -> Result<()> {
        self.process.kill()?;
        self.process.wait()?;
        Ok(())
    }

    /// Sends a command, and does not wait for its answer.
    ///
    /// # Errors
    /// Where the process has ended.
    pub(crate) fn send(&mut self, command: &Command) -> Result<()> {
        let mut line = serde_json::to_string(command)?;
        line.push('\n');
        self.commands.write_all(line.as_bytes()).with_context(|| format!("the process of {:?} has ended", self.system))
    }

    fn answer(&mut self) -> Result<Reply> {
        let mut line = String::new();
        loop {
            line.clear();
            if self.answers.read_line(&mut line)? == 0 {
                bail!("the process of {:?} ended without an answer", self.system);
            }
            if let Some(answer) = line.strip_prefix(ANSWER) {
                return match serde_json::from_str(answer)? {
                    Reply::Failed(error) => bail!("{:?}: {error}", self.system),
                    reply => Ok(reply),
                };
            }
        }
    }
}

/// This program, as the process of a system.
fn own(task: &str, system: System) -> Result<std::process::Command> {
    let mut program = std::process::Command::new(std::env::current_exe()?);
    program.args([task, system.name()]);
    Ok(program)
}

impl Drop for Child {
    fn drop(&mut self) {
        // Both fail where it has ended already, and then there is nothing to do.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
