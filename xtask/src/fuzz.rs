//! The fuzz targets, each for a few seconds, on stable Rust.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::provision;
use crate::test::{Outcome, run};
use crate::workspace::{cargo, root};

const SECONDS: u32 = 5;
const MEMORY_MIB: u32 = 2048;

/// What lets libFuzzer see which way a program went: the part of `cargo fuzz` that stable Rust has. See `fuzz/README.md`.
const FLAGS: &[&str] = &[
    "--cfg=fuzzing",
    "-Cdebug-assertions",
    "-Ccodegen-units=1",
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
];

/// Builds all targets and runs one after the other.
pub(crate) fn run_all() -> Result<Outcome, String> {
    if let Err(why) = provision::cpp_compiler() {
        return Ok(Outcome::NotRun(why));
    }
    let targets = targets(&root().join("fuzz/fuzz_targets"))?;
    // With a target triple, the flags do not reach build scripts and derives, which would not link with them.
    let triple = host()?;
    let folder = root().join("target/fuzz");
    let mut build = cargo();
    build.args(["build", "--release", "--manifest-path", "fuzz/Cargo.toml", "--target", &triple]);
    run(build.arg("--target-dir").arg(&folder).env("RUSTFLAGS", FLAGS.join(" ")))?;
    for target in &targets {
        println!("-- {target}");
        let program = folder.join(&triple).join("release").join(target);
        run(&mut fuzz(&program, &corpus(target)?, &folder))?;
    }
    Ok(Outcome::Passed)
}

/// A run of a target, which writes an input that it fails on to `artifacts`.
fn fuzz(program: &Path, corpus: &Path, artifacts: &Path) -> Command {
    let mut fuzz = Command::new(program);
    fuzz.arg(corpus);
    fuzz.arg(format!("-max_total_time={SECONDS}")).arg(format!("-rss_limit_mb={MEMORY_MIB}"));
    fuzz.arg(format!("-artifact_prefix={}/", artifacts.display())).arg("-verbosity=0").arg("-print_final_stats=1");
    fuzz
}

/// The names of the targets, in order.
fn targets(folder: &Path) -> Result<Vec<String>, String> {
    let files = list(folder)?.into_iter().filter(|path| path.extension().is_some_and(|extension| extension == "rs"));
    let names: Vec<String> = files.filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned())).collect();
    if names.is_empty() { Err(format!("{}: there are no fuzz targets", folder.display())) } else { Ok(names) }
}

/// A copy of a target's corpus: libFuzzer adds what it finds, and the repository's own stays as it is.
fn corpus(target: &str) -> Result<PathBuf, String> {
    let copy = root().join("target/fuzz/corpus").join(target);
    let failed = |error: std::io::Error| format!("cannot copy the corpus of {target}: {error}");
    if copy.exists() {
        fs::remove_dir_all(&copy).map_err(failed)?;
    }
    fs::create_dir_all(&copy).map_err(failed)?;
    for input in list(&root().join("fuzz/corpus").join(target))? {
        if let Some(name) = input.file_name() {
            fs::copy(&input, copy.join(name)).map_err(failed)?;
        }
    }
    Ok(copy)
}

/// What is in a folder, in order of name.
fn list(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let failed = |error| format!("{}: cannot list it: {error}", folder.display());
    let entries = fs::read_dir(folder).map_err(failed)?;
    let mut paths = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>, std::io::Error>>().map_err(failed)?;
    paths.sort();
    Ok(paths)
}

/// The triple of this machine.
fn host() -> Result<String, String> {
    let output = Command::new("rustc").arg("--version").arg("--verbose").output();
    let output = output.map_err(|error| format!("cannot run rustc: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let host = text.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned).ok_or_else(|| "rustc does not tell its host".to_owned())
}
