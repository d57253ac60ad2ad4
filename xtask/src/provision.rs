//! What the tests need beyond stable Rust, fetched where it is missing.

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
    for install in [&["apt-get"][..], &["sudo", "--non-interactive", "apt-get"]] {
        let apt_get = |arguments: &[&str]| succeeds(Command::new(install[0]).args(&install[1..]).args(arguments));
        if apt_get(&["update", "--quiet"]) && apt_get(&["install", "--quiet", "--yes", "g++"]) && answers(&compiler) {
            return Ok(());
        }
    }
    Err("no C++ compiler, and apt-get could not install one: install g++".to_owned())
}

/// Whether a program is there.
fn answers(program: &str) -> bool {
    succeeds(Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()))
}

fn succeeds(command: &mut Command) -> bool {
    command.status().is_ok_and(|status| status.success())
}
