//! The programs of peers that cannot be built into this one.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use anyhow::{Context, Result, anyhow, ensure};

/// What the manifest of cqrs-es' program pins.
pub(crate) const CQRS_ES_VERSION: &str = "0.5.0";

/// What the manifest of the program of the peers on PostgreSQL pins.
pub(crate) const DISINTEGRATE_VERSION: &str = "4.0.1";
pub(crate) const EVENTCORE_VERSION: &str = "2.1.0";
pub(crate) const POSTGRES_ES_VERSION: &str = "0.5.0";

/// The program of cqrs-es, which links another SQLite than this one: built when it is first asked for, as this one is.
///
/// # Errors
/// Where it cannot be built.
pub(crate) fn cqrs_es() -> Result<&'static Path> {
    static BUILT: LazyLock<Result<PathBuf>> = LazyLock::new(|| build("cqrs-es"));
    BUILT.as_deref().map_err(|error| anyhow!("{error:#}"))
}

/// The program of the peers on PostgreSQL, which link another sqlx than this one: built likewise.
///
/// # Errors
/// As [`cqrs_es`].
pub(crate) fn postgres() -> Result<&'static Path> {
    static BUILT: LazyLock<Result<PathBuf>> = LazyLock::new(|| build("postgres"));
    BUILT.as_deref().map_err(|error| anyhow!("{error:#}"))
}

fn build(peer: &str) -> Result<PathBuf> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (manifest, target) = (here.join("peers").join(peer).join("Cargo.toml"), here.join("../../target/peers"));
    let (profile, folder) = if cfg!(debug_assertions) { ("dev", "debug") } else { ("release", "release") };
    eprintln!("building {peer} …");
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["build", "--quiet", "--locked", "--profile", profile]);
    cargo.arg("--manifest-path").arg(manifest).arg("--target-dir").arg(&target);
    ensure!(cargo.status().context("cannot run cargo")?.success(), "it cannot be built: see above");
    Ok(target.join(folder).join(format!("factum-bench-{peer}")))
}
