//! `cargo xtask tidy`: the rules of the house that no other tool knows.

mod arrows;
mod decisions;
mod deny;
mod files;
mod license;
mod manifest;
mod markdown;
mod rust;

use std::path::Path;

use crate::workspace::{self, Metadata};

/// Prints every problem; fails where there is one.
pub(crate) fn run() -> Result<(), String> {
    let problems = problems(workspace::root())?;
    if problems.is_empty() {
        println!("tidy");
        return Ok(());
    }
    Err(format!("{}\n{} to tidy up", problems.join("\n"), problems.len()))
}

fn problems(root: &Path) -> Result<Vec<String>, String> {
    let mut problems = Vec::new();
    let texts = files::texts(root)?;
    for file in &texts {
        files::check(file, &mut problems);
        match file.extension() {
            "rs" => rust::check(file, &mut problems),
            "md" => markdown::check(file, |target| root.join(target).exists(), &mut problems),
            _ => {}
        }
    }
    rust::check_bank(&texts, &mut problems);
    decisions::check(&texts, &mut problems);
    let members = Metadata::of_members()?;
    arrows::check(&members, &mut problems);
    manifest::check(&members, &texts, root, &mut problems);
    deny::check(&texts, &mut problems)?;
    Ok(problems)
}
