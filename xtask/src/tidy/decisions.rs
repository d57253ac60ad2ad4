//! What holds of the records of decisions.

use super::files::TextFile;

const FOLDER: &str = "docs/decisions/";
const HEADINGS: &[&str] = &["## Context", "## Options", "## Decision", "## Consequences"];

/// Each record is numbered, without gaps, and has these headings, in this order.
pub(crate) fn check(files: &[TextFile], problems: &mut Vec<String>) {
    let records = files.iter().filter(|file| file.path.starts_with(FOLDER));
    for (index, file) in records.enumerate() {
        let (path, number) = (&file.path, format!("{:04}-", index + 1));
        if !path[FOLDER.len()..].starts_with(&number) {
            problems.push(format!("{path}: the next record's name begins with {number}"));
        }
        let headings: Vec<&str> = file.text.lines().filter(|line| line.starts_with("## ")).collect();
        if headings != HEADINGS {
            problems.push(format!("{path}: its headings are {headings:?}: make them {HEADINGS:?}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::check;
    use crate::tidy::files::TextFile;

    const WHOLE: &str = "# A thing\n\n## Context\n\n## Options\n\n## Decision\n\n## Consequences\n";

    #[track_caller]
    fn check_records(records: &[(&str, &str)], expected: &[&str]) {
        let file = |(path, text): &(&str, &str)| TextFile { path: format!("docs/{path}"), text: (*text).to_owned() };
        let mut problems = Vec::new();
        check(&records.iter().map(file).collect::<Vec<_>>(), &mut problems);
        let begins = |(problem, expected): (&String, &&str)| problem.starts_with(expected);
        assert!(problems.len() == expected.len() && problems.iter().zip(expected).all(begins), "{problems:?}");
    }

    #[test]
    fn a_record_has_its_four_parts_in_order() {
        check_records(&[("decisions/0001-a.md", WHOLE), ("decisions/0002-b.md", WHOLE), ("guide.md", "")], &[]);
        let short = WHOLE.replace("## Options\n\n", "");
        check_records(
            &[("decisions/0001-a.md", &short)],
            &["docs/decisions/0001-a.md: its headings are [\"## Context\", \"## D"],
        );
        check_records(&[("decisions/0001-a.md", "")], &["docs/decisions/0001-a.md: its headings are []"]);
    }

    #[test]
    fn records_are_numbered_without_gaps() {
        let message = "docs/decisions/0003-b.md: the next record's name begins with 0002-";
        check_records(&[("decisions/0001-a.md", WHOLE), ("decisions/0003-b.md", WHOLE)], &[message]);
    }
}
