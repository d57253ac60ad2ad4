//! Which of our crates may know which.

use crate::workspace::{Metadata, Package};

/// An arrow that is not here is not allowed, in tests neither.
const ARROWS: &[(&str, &[&str])] = &[
    ("factum", &["factum-derive"]),
    ("factum-derive", &[]),
    ("factum-embedded", &["factum"]),
    ("factum-sqlite", &["factum", "factum-embedded"]),
    ("factum-postgres", &["factum", "factum-embedded"]),
    ("factum-http", &["factum"]),
    ("factum-orders", &["factum", "factum-embedded", "factum-postgres"]),
    ("factum-read-model", &["factum", "factum-embedded", "factum-sqlite"]),
    ("factum-enrolment", &["factum", "factum-embedded"]),
    ("factum-bank", &["factum", "factum-embedded"]),
    ("factum-cli", &["factum", "factum-embedded", "factum-postgres", "factum-sqlite", "factum-http", "factum-bank"]),
    ("factum-bench", &["factum", "factum-embedded", "factum-postgres", "factum-sqlite"]),
    ("xtask", &[]),
];

/// The core stays light: each of its dependencies is one for everybody.
const CORE: &str = "factum";
const CORE_DEPENDENCIES_MAX: usize = 10;

/// Compares the members with the table.
pub(crate) fn check(members: &Metadata, problems: &mut Vec<String>) {
    for package in &members.packages {
        let name = &package.name;
        let Some((_, allowed)) = ARROWS.iter().find(|(from, _)| from == name) else {
            problems.push(format!("{name}: a new crate: say in the table of arrows what it may depend on"));
            continue;
        };
        for to in ours(package, members).filter(|to| !allowed.contains(to)) {
            problems.push(format!("{name} -> {to}: an arrow that is not allowed"));
        }
    }
    let core = members.packages.iter().filter(|package| package.name == CORE);
    let direct = core.flat_map(|core| &core.dependencies).filter(|dependency| dependency.kind.is_none()).count();
    if CORE_DEPENDENCIES_MAX < direct {
        problems.push(format!("{CORE}: {direct} dependencies, more than {CORE_DEPENDENCIES_MAX}: do without one"));
    }
    check_default_binary(members, problems);
}

/// The members that a package depends on. A test of a crate may ask for that crate again, with other features.
fn ours<'a>(package: &'a Package, members: &'a Metadata) -> impl Iterator<Item = &'a str> {
    let is_ours = |name: &str| members.packages.iter().any(|member| member.name == name);
    let again = |name: &str, kind: Option<&str>| name == package.name && kind == Some("dev");
    let others = package.dependencies.iter().filter(move |to| is_ours(&to.name) && !again(&to.name, to.kind.as_deref()));
    others.map(|to| to.name.as_str())
}

/// `cargo run` has one program to run.
fn check_default_binary(members: &Metadata, problems: &mut Vec<String>) {
    let default = members.packages.iter().filter(|package| members.workspace_default_members.contains(&package.id));
    let targets = default.flat_map(|package| &package.targets);
    let binaries: Vec<&str> =
        targets.filter(|target| target.kind.iter().any(|kind| kind == "bin")).map(|target| target.name.as_str()).collect();
    if binaries != ["factum"] {
        problems.push(format!("Cargo.toml: the binaries of the default members are {binaries:?}: make it one, `factum`"));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::check;

    fn package(name: &str, dependencies: &[(&str, Option<&str>)]) -> Value {
        let dependencies: Vec<Value> = dependencies.iter().map(|(name, kind)| json!({"name": name, "kind": kind})).collect();
        let target = if name == "factum-cli" {
            json!({"name": "factum", "kind": ["bin"]})
        } else {
            json!({"name": name, "kind": ["lib"]})
        };
        json!({
            "id": name, "name": name, "version": "1.0.0", "manifest_path": "", "dependencies": dependencies, "targets": [target],
        })
    }

    #[track_caller]
    fn check_members(packages: &[Value], expected: &[&str]) {
        let cli = package("factum-cli", &[]);
        let packages: Vec<&Value> = packages.iter().chain([&cli]).collect();
        let ids: Vec<&Value> = packages.iter().map(|package| &package["id"]).collect();
        let metadata = json!({"packages": packages, "workspace_members": ids, "workspace_default_members": ids, "resolve": null});
        let mut problems = Vec::new();
        check(&serde_json::from_value(metadata).unwrap(), &mut problems);
        assert_eq!(problems, expected);
    }

    #[test]
    fn arrows_of_the_table_are_allowed() {
        let core = package("factum", &[("factum-derive", None), ("serde", None)]);
        check_members(&[core, package("factum-derive", &[]), package("factum-embedded", &[("factum", None)])], &[]);
    }

    #[test]
    fn any_other_arrow_is_a_problem_in_tests_too() {
        let core = package("factum", &[("factum-embedded", Some("dev"))]);
        let engine = package("factum-embedded", &[("factum-cli", None)]);
        let message = "factum -> factum-embedded: an arrow that is not allowed";
        check_members(&[core, engine], &[message, "factum-embedded -> factum-cli: an arrow that is not allowed"]);
    }

    #[test]
    fn a_crate_may_test_itself_with_other_features() {
        check_members(&[package("factum-embedded", &[("factum-embedded", Some("dev"))])], &[]);
    }

    #[test]
    fn a_new_crate_says_where_it_stands() {
        let message = "factum-common: a new crate: say in the table of arrows what it may depend on";
        check_members(&[package("factum-common", &[])], &[message]);
    }

    #[test]
    fn the_core_stays_light() {
        let names: Vec<String> = (0..11).map(|n| format!("crate-{n}")).collect();
        let normal = |count: usize| names[..count].iter().map(|name| (name.as_str(), None)).collect::<Vec<_>>();
        let mut with_tests = normal(10);
        with_tests.push(("proptest", Some("dev")));
        check_members(&[package("factum", &with_tests)], &[]);
        check_members(&[package("factum", &normal(11))], &["factum: 11 dependencies, more than 10: do without one"]);
    }

    #[test]
    fn cargo_run_has_one_program_to_run() {
        let mut second = package("factum-embedded", &[]);
        second["targets"] = json!([{"name": "dump", "kind": ["bin"]}]);
        let message = "Cargo.toml: the binaries of the default members are [\"dump\", \"factum\"]: make it one, `factum`";
        check_members(&[second], &[message]);
    }
}
