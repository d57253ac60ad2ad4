//! What may be depended on: the part of `deny.toml`, cargo-deny's configuration, that needs no database of advisories.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::Deserialize;

use super::files::TextFile;
use super::license;
use crate::workspace::{Metadata, Package};

const FILE: &str = "deny.toml";
const CRATES_IO: &str = "registry+https://github.com/rust-lang/crates.io-index";

/// The settings that are enforced here; another one is an error, so that none is without effect.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Deny {
    graph: Graph,
    licenses: Licenses,
    bans: Bans,
    #[expect(dead_code, reason = "its only values are the ones that are enforced")]
    sources: Sources,
    #[expect(dead_code, reason = "cargo-deny's alone")]
    advisories: toml::Table,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Graph {
    targets: Vec<String>,
    #[expect(dead_code, reason = "always so here")]
    all_features: bool,
    /// Members that nobody depends on.
    exclude: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Licenses {
    allow: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Bans {
    #[expect(dead_code, reason = "its only value is the one that is meant")]
    multiple_versions: Allow,
    deny: Vec<Ban>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Ban {
    #[serde(rename = "crate")]
    name: String,
    #[serde(default)]
    reason: String,
    /// One version is fine.
    #[serde(default)]
    deny_multiple_versions: bool,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
#[expect(dead_code, reason = "its only values are the ones that are enforced")]
struct Sources {
    unknown_registry: Denied,
    unknown_git: Denied,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Allow {
    Allow,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Denied {
    Deny,
}

/// Checks all that is built with a member, tests included.
pub(crate) fn check(files: &[TextFile], problems: &mut Vec<String>) -> Result<(), String> {
    let file = files.iter().find(|file| file.path == FILE).ok_or_else(|| format!("there is no {FILE}"))?;
    let deny: Deny = toml::from_str(&file.text).map_err(|error| format!("{FILE}: {error}"))?;
    let mut packages = BTreeMap::new();
    for target in &deny.graph.targets {
        let metadata = Metadata::of_everything(target)?;
        let built = built(&metadata, &deny.graph.exclude);
        packages.extend(metadata.packages.into_iter().filter(|package| built.contains(&package.id)).map(|p| (p.id.clone(), p)));
    }
    check_packages(&deny, &packages.into_values().collect::<Vec<_>>(), problems);
    Ok(())
}

/// The ids of the members that are not excluded, and of all that they are built with.
fn built(metadata: &Metadata, exclude: &[String]) -> BTreeSet<String> {
    let nodes = metadata.resolve.iter().flat_map(|resolve| &resolve.nodes);
    let dependencies: HashMap<&String, &Vec<String>> = nodes.map(|node| (&node.id, &node.dependencies)).collect();
    let members = metadata.packages.iter().filter(|package| metadata.workspace_members.contains(&package.id));
    let mut waiting: Vec<&String> = members.filter(|member| !exclude.contains(&member.name)).map(|member| &member.id).collect();
    let mut built = BTreeSet::new();
    while let Some(id) = waiting.pop() {
        if built.insert(id.clone()) {
            waiting.extend(dependencies.get(id).copied().into_iter().flatten());
        }
    }
    built
}

fn check_packages(deny: &Deny, packages: &[Package], problems: &mut Vec<String>) {
    for package in packages {
        let problem = check_package(package, &deny.licenses.allow);
        problems.extend(problem.map(|problem| format!("{} {}: {problem}", package.name, package.version)));
    }
    for ban in &deny.bans.deny {
        let versions: Vec<&str> = packages.iter().filter(|p| p.name == ban.name).map(|p| p.version.as_str()).collect();
        match (ban.deny_multiple_versions, versions.as_slice()) {
            (_, []) | (true, [_]) => {}
            (true, versions) => problems.push(format!("{}: {}: make it one version", ban.name, versions.join(" and "))),
            (false, _) => problems.push(format!("{}: it is banned: {}", ban.name, ban.reason)),
        }
    }
}

fn check_package(package: &Package, licenses: &[String]) -> Option<String> {
    let license = package.license.as_deref().unwrap_or_default();
    match (license::allows(license, licenses), &package.source) {
        (Err(error), _) => Some(format!("cannot read its licence, {license:?}: {error}")),
        (Ok(false), _) => Some(format!("its licence is not allowed: {license}")),
        (Ok(true), Some(source)) if source != CRATES_IO => Some(format!("it comes from {source}, not from crates.io")),
        (Ok(true), _) => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{Deny, built, check_packages};
    use crate::workspace::{Metadata, Package};

    const SETTINGS: &str = "
        [graph]
        targets = ['x86_64-unknown-linux-gnu']
        all-features = true
        exclude = ['bench']
        [licenses]
        allow = ['MIT']
        [bans]
        multiple-versions = 'allow'
        deny = [{ crate = 'openssl', reason = 'rustls' }, { crate = 'tokio', deny-multiple-versions = true }]
        [sources]
        unknown-registry = 'deny'
        unknown-git = 'deny'
        [advisories]
        yanked = 'deny'
    ";

    fn package(name: &str, version: &str) -> Value {
        json!({
            "id": format!("{name} {version}"), "name": name, "version": version, "license": "MIT", "source": super::CRATES_IO,
            "manifest_path": "", "dependencies": [], "targets": [],
        })
    }

    #[track_caller]
    fn check(packages: &[Value], expected: &[&str]) {
        let packages: Vec<Package> = serde_json::from_value(packages.into()).unwrap();
        let mut problems = Vec::new();
        check_packages(&toml::from_str(SETTINGS).unwrap(), &packages, &mut problems);
        assert_eq!(problems, expected);
    }

    #[test]
    fn a_banned_crate_is_found() {
        check(&[package("rustls", "1.0.0"), package("tokio", "1.0.0")], &[]);
        check(&[package("openssl", "1.0.0")], &["openssl: it is banned: rustls"]);
    }

    #[test]
    fn a_second_version_is_found() {
        check(&[package("tokio", "1.0.0"), package("tokio", "0.3.0")], &["tokio: 1.0.0 and 0.3.0: make it one version"]);
        check(&[package("syn", "1.0.0"), package("syn", "2.0.0")], &[]);
    }

    #[test]
    fn a_licence_or_a_source_that_is_not_allowed_is_found() {
        let with = |key: &str, value: Value| {
            let mut package = package("a", "1.0.0");
            package[key] = value;
            package
        };
        check(&[with("license", "GPL-3.0".into())], &["a 1.0.0: its licence is not allowed: GPL-3.0"]);
        check(&[with("license", Value::Null)], &["a 1.0.0: cannot read its licence, \"\": a licence is missing"]);
        check(&[with("source", "git+https://b.org".into())], &["a 1.0.0: it comes from git+https://b.org, not from crates.io"]);
        check(&[with("source", Value::Null)], &[]);
    }

    #[test]
    fn a_setting_without_effect_is_refused() {
        for (known, unknown) in
            [("exclude =", "exclude-dev = true\nexclude ="), ("unknown-git = 'deny'", "unknown-git = 'allow'")]
        {
            let settings = SETTINGS.replace(known, unknown);
            assert!(toml::from_str::<Deny>(&settings).is_err(), "{settings}");
        }
    }

    #[test]
    fn what_only_an_excluded_member_builds_is_not_looked_at() {
        let ids = ["factum 1.0.0", "bench 1.0.0", "serde 1.0.0", "peer 1.0.0"];
        let packages = ["factum", "bench", "serde", "peer"].map(|name| package(name, "1.0.0"));
        let node = |from: usize, to: &[&str]| json!({"id": ids[from], "dependencies": to});
        let metadata: Metadata = serde_json::from_value(json!({
            "packages": packages,
            "workspace_members": ids[..2],
            "workspace_default_members": ids[..1],
            "resolve": {"nodes": [node(0, &ids[2..3]), node(1, &[ids[0], ids[2], ids[3]]), node(2, &[]), node(3, &[])]},
        }))
        .unwrap();
        let built: Vec<String> = built(&metadata, &["bench".to_owned()]).into_iter().collect();
        assert_eq!(built, ["factum 1.0.0", "serde 1.0.0"]);
    }
}
