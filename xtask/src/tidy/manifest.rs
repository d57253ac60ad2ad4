//! What holds of every member's manifest.

use std::path::Path;

use toml::{Table, Value};

use super::files::TextFile;
use crate::workspace::Metadata;

const DEPENDENCIES: &[&str] = &["dependencies", "dev-dependencies", "build-dependencies"];

/// Checks the manifests of the members.
pub(crate) fn check(members: &Metadata, files: &[TextFile], root: &Path, problems: &mut Vec<String>) {
    for package in &members.packages {
        let path = package.manifest_path.strip_prefix(root).unwrap_or(&package.manifest_path);
        match files.iter().find(|file| Path::new(&file.path) == path) {
            Some(file) => check_file(file, problems),
            None => problems.push(format!("{}: a member outside of the repository", path.display())),
        }
    }
}

fn check_file(file: &TextFile, problems: &mut Vec<String>) {
    let path = &file.path;
    let manifest: Table = match file.text.parse() {
        Ok(manifest) => manifest,
        Err(error) => return problems.push(format!("{path}: {error}")),
    };
    if !is_from_workspace(manifest.get("lints")) {
        problems.push(format!("{path}: the lints are the workspace's: [lints] workspace = true"));
    }
    let targets = manifest.get("target").and_then(Value::as_table).into_iter().flatten();
    let tables = targets.filter_map(|(_, target)| target.as_table()).chain([&manifest]);
    for (name, dependency) in tables.flat_map(dependencies) {
        if !is_from_workspace(Some(dependency)) && dependency.get("path").is_none() {
            problems.push(format!("{path}: {name}: its version stands in the workspace: {name}.workspace = true"));
        }
    }
}

/// The dependencies that a table names, of any kind.
fn dependencies(table: &Table) -> impl Iterator<Item = (&String, &Value)> {
    DEPENDENCIES.iter().filter_map(|kind| table.get(*kind)?.as_table()).flatten()
}

fn is_from_workspace(value: Option<&Value>) -> bool {
    value.and_then(|value| value.get("workspace")?.as_bool()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::check_file;
    use crate::tidy::files::TextFile;

    #[track_caller]
    fn check_manifest(text: &str, expected: &[&str]) {
        let mut problems = Vec::new();
        check_file(&TextFile { path: "Cargo.toml".to_owned(), text: text.to_owned() }, &mut problems);
        assert_eq!(problems, expected);
    }

    #[test]
    fn lints_are_the_workspaces() {
        let message = "Cargo.toml: the lints are the workspace's: [lints] workspace = true";
        check_manifest("lints.workspace = true\n", &[]);
        check_manifest("[package]\nname = 'a'\n", &[message]);
        check_manifest("[lints.rust]\nmissing_docs = 'allow'\n", &[message]);
    }

    #[test]
    fn versions_stand_in_the_workspace() {
        let message = |name| format!("Cargo.toml: {name}: its version stands in the workspace: {name}.workspace = true");
        let good = "[dependencies]\na = { workspace = true, features = ['b'] }\n[dev-dependencies]\nc = { path = '.' }\n";
        check_manifest(&format!("lints.workspace = true\n{good}"), &[]);
        let bad = "[dependencies]
a = '1'
[build-dependencies]
b = { version = '1' }
";
        let bad = format!(
            "{bad}[target.'cfg(unix)'.dev-dependencies]
c = '1'
"
        );
        check_manifest(&format!("lints.workspace = true\n{bad}"), &[&message("c"), &message("a"), &message("b")]);
    }
}
