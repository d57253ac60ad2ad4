//! What holds of every document.

use super::files::TextFile;

/// The example that a newcomer reads has at most this many lines that are not blank.
const EXAMPLE_LINES_MAX: usize = 60;

/// What holds of a document; `exists` tells whether a path from the root is there.
pub(crate) fn check(file: &TextFile, exists: impl Fn(&str) -> bool, problems: &mut Vec<String>) {
    let path = &file.path;
    let mut example = None;
    for (number, line) in file.lines() {
        if let Some(language) = line.trim_start().strip_prefix("```") {
            example = match example {
                None => Some((number, language, 0)),
                Some((start, "rust", lines)) if EXAMPLE_LINES_MAX < lines => {
                    problems.push(format!("{path}:{start}: {lines} lines, more than {EXAMPLE_LINES_MAX}: shorten the example"));
                    None
                }
                Some(_) => None,
            };
        } else if let Some((_, _, lines)) = &mut example {
            *lines += usize::from(!line.trim().is_empty());
        } else {
            let dead = links(line).into_iter().filter(|link| resolve(path, link).is_some_and(|target| !exists(&target)));
            problems.extend(dead.map(|link| format!("{path}:{number}: there is no {link}")));
        }
    }
    if let Some((start, ..)) = example {
        problems.push(format!("{path}:{start}: this block does not end"));
    }
}

/// The targets of the links in a line.
fn links(line: &str) -> Vec<String> {
    // What stands between backticks is code, so only every other part is text.
    let text: String = line.split('`').step_by(2).collect();
    let starts = text.match_indices("](").map(|(at, mark)| at + mark.len());
    starts.filter_map(|start| Some(text[start..].split_once(')')?.0.to_owned())).collect()
}

/// The path that a link of a document means, from the root; `None` where it is not a file of ours.
fn resolve(document: &str, link: &str) -> Option<String> {
    let target = link.split('#').next().unwrap_or_default();
    if target.is_empty() || target.contains("://") || target.starts_with("mailto:") {
        return None;
    }
    let folder = document.rsplit_once('/').map_or("", |(folder, _)| folder);
    Some(format!("{folder}/{target}").trim_start_matches('/').to_owned())
}

#[cfg(test)]
mod tests {
    use super::check;
    use crate::tidy::files::TextFile;

    #[track_caller]
    fn check_document(text: &str, expected: &[&str]) {
        let exists = |path: &str| ["docs/there.md", "docs/../README.md"].contains(&path);
        let mut problems = Vec::new();
        check(&TextFile { path: "docs/a.md".to_owned(), text: text.to_owned() }, exists, &mut problems);
        assert_eq!(problems, expected);
    }

    #[test]
    fn a_link_leads_to_a_file() {
        check_document("[one](there.md), [`two`](../README.md#part), [three](https://example.org/x), [four](#here)\n", &[]);
        check_document("[one](there.md) and [two](gone.md#part)\n", &["docs/a.md:1: there is no gone.md#part"]);
        check_document("`[code](gone.md)`\n\n```text\n[code](gone.md)\n```\n", &[]);
    }

    #[test]
    fn an_example_is_short() {
        let document = |language, lines| format!("Text.\n\n```{language}\n{}\n```\n", "line();\n\n".repeat(lines));
        check_document(&document("rust", 60), &[]);
        check_document(&document("rust", 61), &["docs/a.md:3: 61 lines, more than 60: shorten the example"]);
        check_document(&document("text", 61), &[]);
        check_document("```rust\nline();\n", &["docs/a.md:1: this block does not end"]);
    }
}
