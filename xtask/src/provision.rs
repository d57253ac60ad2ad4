//! What the tests need beyond stable Rust, fetched where it is missing.

use std::path::Path;
use std::process::{Command, Stdio};

/// What the steps call that a minimal toolchain does not have.
const COMPONENTS: &[(&str, &str)] = &[("rustfmt", "cargo-fmt"), ("clippy", "cargo-clippy")];

/// Adds the missing components of the toolchain.
pub(crate) fn components() -> Result<(), String> {
    for (component, program) in COMPONENTS {
        if !answers(program) {
            println!("{component} is missing: adding it");
            let added = succeeds(Command::new("rustup").args(["component", "add", component]));
            if !added || !answers(program) {
                return Err(format!("{component} is missing: run `rustup component add {component}`"));
            }
        }
    }
    Ok(())
}

/// Installs a C++ compiler where there is none: libFuzzer is written in C++.
pub(crate) fn cpp_compiler() -> Result<(), String> {
    let compiler = std::env::var("CXX").unwrap_or_else(|_| "c++".to_owned());
    if answers(&compiler) {
        return Ok(());
    }
    println!("{compiler} is missing: installing g++");
    if installs("g++") && answers(&compiler) {
        return Ok(());
    }
    Err("no C++ compiler, and apt-get could not install one: install g++".to_owned())
}

/// Where Debian has the programs of PostgreSQL.
const POSTGRES: &str = "/usr/lib/postgresql";

/// Where Debian has PgBouncer, which may not be where others than root look.
const PGBOUNCER: &str = "/usr/sbin/pgbouncer";

/// Installs PostgreSQL, PgBouncer, Patroni and etcd where they are missing: the tests start servers and clusters of their own.
pub(crate) fn postgres() -> Result<(), String> {
    let is_there = || Path::new(POSTGRES).is_dir() || answers("initdb") || std::env::var_os("FACTUM_POSTGRES_BIN").is_some();
    let all: [(&str, &dyn Fn() -> bool); 4] = [
        ("postgresql", &is_there),
        ("pgbouncer", &|| Path::new(PGBOUNCER).exists() || answers("pgbouncer")),
        ("patroni", &|| answers("patroni")),
        ("etcd-server", &|| answers("etcd")),
    ];
    for (package, is_there) in all {
        if is_there() {
            continue;
        }
        println!("{package} is missing: installing it");
        if !installs(package) || !is_there() {
            return Err(format!("no {package}, and apt-get could not install it: install {package}"));
        }
    }
    Ok(())
}

/// Installs a package of Debian's; whether that worked. It starts no service.
fn installs(package: &str) -> bool {
    [&["apt-get"][..], &["sudo", "--non-interactive", "apt-get"]].iter().any(|install| {
        let apt_get = |arguments: &[&str]| {
            let mut command = Command::new(install[0]);
            // Read by the package's scripts: a cluster that nobody asked for would run from now on.
            command.args(&install[1..]).args(arguments).env("DEBIAN_FRONTEND", "noninteractive").env("RUNLEVEL", "1");
            succeeds(&mut command)
        };
        apt_get(&["update", "--quiet"]) && apt_get(&["install", "--quiet", "--yes", package])
    })
}

/// Whether a program is there.
fn answers(program: &str) -> bool {
    succeeds(Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()))
}

fn succeeds(command: &mut Command) -> bool {
    command.status().is_ok_and(|status| status.success())
}
