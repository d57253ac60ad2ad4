//! Python's eventsourcing, in an environment that is made where it is first asked for.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

/// What is installed.
pub(crate) const VERSION: &str = "9.5.6";
const PACKAGES: [&str; 2] = ["eventsourcing==9.5.6", "psycopg[binary,pool]==3.3.9"];

/// The program that serves it.
///
/// # Errors
/// Where there is no Python with `venv` and `pip`, or the packages cannot be installed.
pub(crate) fn eventsourcing() -> Result<Command> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let environment = here.join("../../target/peers/eventsourcing");
    let python = environment.join("bin/python");
    if !environment.join("installed").exists() {
        install(&environment, &python)?;
    }
    let mut program = Command::new(python);
    program.arg(here.join("peers/eventsourcing/serve.py"));
    Ok(program)
}

fn install(environment: &PathBuf, python: &Path) -> Result<()> {
    eprintln!("installing eventsourcing …");
    let made = Command::new("python3").args(["-m", "venv", "--clear"]).arg(environment).stdout(Stdio::null()).status();
    ensure!(made.context("there is no python3")?.success(), "python3 makes no environment: is python3-venv missing?");
    let pip =
        Command::new(python).args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]).args(PACKAGES).status();
    ensure!(pip?.success(), "pip does not install {}", PACKAGES.join(" and "));
    Ok(std::fs::write(environment.join("installed"), VERSION)?)
}
