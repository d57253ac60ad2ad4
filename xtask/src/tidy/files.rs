//! The texts of the repository, each line of them clean.

use std::fs;
use std::path::{Path, PathBuf};

/// A text of the repository.
pub(crate) struct TextFile {
    /// Where it is, from the root, with `/` between its parts.
    pub(crate) path: String,
    pub(crate) text: String,
}

/// What is looked at: the texts that people write.
const EXTENSIONS: &[&str] = &["rs", "md", "toml"];

impl TextFile {
    /// What the name ends with, after the last dot.
    pub(crate) fn extension(&self) -> &str {
        self.path.rsplit_once('.').map_or("", |(_, extension)| extension)
    }

    /// The lines, counted from 1.
    pub(crate) fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.text.lines().enumerate().map(|(index, line)| (index + 1, line))
    }
}

/// Every text below a folder, in the order of the paths; not what is built, nor what the name hides.
pub(crate) fn texts(root: &Path) -> Result<Vec<TextFile>, String> {
    let mut paths = Vec::new();
    walk(root, &mut paths).map_err(|error| format!("cannot list the files: {error}"))?;
    paths.sort();
    let read = |path: PathBuf| {
        let name = path.strip_prefix(root).unwrap_or(&path).to_string_lossy().replace('\\', "/");
        let text = fs::read_to_string(&path).map_err(|error| format!("{name}: cannot read it: {error}"))?;
        Ok(TextFile { path: name, text })
    };
    paths.into_iter().map(read).collect()
}

fn walk(folder: &Path, paths: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let (path, name) = (entry.path(), entry.file_name());
        let hidden = name.to_string_lossy().starts_with('.');
        if entry.file_type()?.is_dir() {
            if !hidden && name != "target" {
                walk(&path, paths)?;
            }
        } else if path.extension().is_some_and(|extension| EXTENSIONS.iter().any(|known| extension == *known)) {
            paths.push(path);
        }
    }
    Ok(())
}

/// What holds of every text.
pub(crate) fn check(file: &TextFile, problems: &mut Vec<String>) {
    let path = &file.path;
    for (number, line) in file.lines() {
        if line.contains('\t') {
            problems.push(format!("{path}:{number}: a tab: use spaces"));
        }
        if line.ends_with(char::is_whitespace) {
            problems.push(format!("{path}:{number}: spaces at the end of the line"));
        }
    }
    if !file.text.is_empty() && (!file.text.ends_with('\n') || file.text.ends_with("\n\n")) {
        problems.push(format!("{path}: end it with one newline"));
    }
}

#[cfg(test)]
mod tests {
    use super::{TextFile, check};

    #[track_caller]
    fn check_text(text: &str, expected: &[&str]) {
        let mut problems = Vec::new();
        check(&TextFile { path: "a.md".to_owned(), text: text.to_owned() }, &mut problems);
        assert_eq!(problems, expected);
    }

    #[test]
    fn lines_are_clean() {
        check_text("one\n\ntwo\n", &[]);
        check_text("", &[]);
        check_text("one\n\ttwo\nthree \n", &["a.md:2: a tab: use spaces", "a.md:3: spaces at the end of the line"]);
        check_text("one", &["a.md: end it with one newline"]);
        check_text("one\n\n", &["a.md: end it with one newline"]);
    }
}
