//! `cargo xtask test`: all that must hold, the cheap things first, up to the first that does not.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::workspace::cargo;
use crate::{fuzz, postgres, provision, tidy};

/// One thing that must hold.
struct Step {
    name: &'static str,
    run: fn() -> Result<Outcome, String>,
}

/// How a step ended that did not fail.
pub(crate) enum Outcome {
    Passed,
    /// It could not be run here, for this reason.
    NotRun(String),
}

const STEPS: &[Step] = &[
    Step { name: "components", run: || provision::components().map(passed) },
    Step { name: "tidy", run: || tidy::run().map(passed) },
    Step { name: "format", run: format },
    Step { name: "lints", run: || run(members("clippy").args(["--all-targets", "--", "-D", "warnings"])) },
    Step { name: "postgres", run: || provision::postgres().map(passed) },
    Step { name: "tests", run: || run(&mut members("test")) },
    Step { name: "versions", run: postgres::on_all_versions },
    Step { name: "examples", run: || run(members("build").args(["--bins", "--examples"])) },
    Step { name: "docs", run: || run(members("doc").args(["--lib", "--no-deps"]).env("RUSTDOCFLAGS", "-D warnings")) },
    Step { name: "fuzz", run: fuzz::run_all },
];

/// Runs the named steps, or all of them where none is named.
pub(crate) fn run_named(names: &[&str]) -> Result<(), String> {
    if let Some(unknown) = names.iter().find(|name| STEPS.iter().all(|step| step.name != **name)) {
        let known: Vec<&str> = STEPS.iter().map(|step| step.name).collect();
        return Err(format!("there is no step {unknown}; there are: {}", known.join(", ")));
    }
    let mut report = Report::default();
    for step in STEPS.iter().filter(|step| names.is_empty() || names.contains(&step.name)) {
        println!("\n== {}", step.name);
        let start = Instant::now();
        let outcome = (step.run)();
        report.add(step.name, start.elapsed(), &outcome);
        if let Err(message) = outcome {
            return Err(format!("{message}\n\n{}\nfailed: {}", report.table, step.name));
        }
    }
    println!("\n{}\n{}", report.table, report.verdict());
    Ok(())
}

/// Runs a command, which says itself why it fails.
pub(crate) fn run(command: &mut Command) -> Result<Outcome, String> {
    let line = line(command);
    println!("$ {line}");
    match command.status() {
        Ok(status) if status.success() => Ok(Outcome::Passed),
        Ok(status) => Err(format!("{status}: {line}")),
        Err(error) => Err(format!("cannot run it: {error}: {line}")),
    }
}

/// The command, to be run again by hand.
fn line(command: &Command) -> String {
    let variables = command.get_envs().filter_map(|(name, value)| Some(format!("{}={:?}", name.display(), value?)));
    let program = Path::new(command.get_program());
    let program = if program.ends_with("cargo") { "cargo".as_ref() } else { program.as_os_str() };
    let words = std::iter::once(program).chain(command.get_args()).map(|word| word.to_string_lossy().into_owned());
    variables.chain(words).collect::<Vec<_>>().join(" ")
}

/// Packages that are workspaces of their own.
const APART: &[&str] =
    &["fuzz/Cargo.toml", "crates/factum-bench/peers/cqrs-es/Cargo.toml", "crates/factum-bench/peers/postgres/Cargo.toml"];

fn format() -> Result<Outcome, String> {
    run(cargo().args(["fmt", "--all", "--check"]))?;
    APART.iter().try_for_each(|manifest| run(cargo().args(["fmt", "--manifest-path", manifest, "--check"])).map(|_| ()))?;
    Ok(Outcome::Passed)
}

/// A cargo command on every member but the benchmark, which builds its peers.
///
/// The same features each time, so that what one step has built the next one finds.
fn members(command: &str) -> Command {
    let mut cargo = cargo();
    cargo.args([command, "--workspace", "--exclude", "factum-bench", "--all-features"]);
    cargo
}

fn passed(_: ()) -> Outcome {
    Outcome::Passed
}

/// What is printed at the end.
#[derive(Default)]
struct Report {
    table: String,
    total: Duration,
    not_run: Vec<&'static str>,
}

impl Report {
    fn add(&mut self, step: &'static str, took: Duration, outcome: &Result<Outcome, String>) {
        let result = match outcome {
            Ok(Outcome::Passed) => "passed".to_owned(),
            Ok(Outcome::NotRun(why)) => {
                self.not_run.push(step);
                format!("NOT RUN: {why}")
            }
            Err(_) => "FAILED".to_owned(),
        };
        self.total += took;
        // Writing to a string cannot fail.
        let _ = writeln!(self.table, "{step:<12} {:>7.1} s  {result}", took.as_secs_f64());
    }

    fn verdict(&self) -> String {
        let seconds = self.total.as_secs_f64();
        match self.not_run.as_slice() {
            [] => format!("all passed in {seconds:.1} s"),
            steps => format!("passed in {seconds:.1} s, but not everything ran: {} is missing", steps.join(", ")),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;
    use std::time::Duration;

    use super::{Outcome, Report, STEPS, line, run_named};

    #[test]
    fn a_step_that_did_not_run_is_told_at_the_end() {
        let mut report = Report::default();
        report.add("tests", Duration::from_millis(1500), &Ok(Outcome::Passed));
        assert_eq!(report.verdict(), "all passed in 1.5 s");
        report.add("fuzz", Duration::ZERO, &Ok(Outcome::NotRun("no compiler".to_owned())));
        assert_eq!(report.verdict(), "passed in 1.5 s, but not everything ran: fuzz is missing");
        assert_eq!(report.table, "tests            1.5 s  passed\nfuzz             0.0 s  NOT RUN: no compiler\n");
    }

    #[test]
    fn a_command_is_told_so_that_it_can_be_run_again() {
        let mut command = Command::new("/usr/bin/cargo");
        command.args(["doc", "--no-deps"]).env("RUSTDOCFLAGS", "-D warnings");
        assert_eq!(line(&command), "RUSTDOCFLAGS=\"-D warnings\" cargo doc --no-deps");
    }

    #[test]
    fn a_step_that_is_not_there_is_refused() {
        let message = run_named(&["tests", "tests-all"]).unwrap_err();
        assert!(message.contains("no step tests-all") && message.contains(STEPS[0].name), "{message}");
    }
}
