//! What holds of every Rust file.

use super::files::TextFile;

const COLUMNS_MAX: usize = 130;
const LINES_MAX: usize = 600;
const TEST_LINES_MAX: usize = 1_000;

/// The bank is the example to read first: it fits on two screens.
const BANK: &str = "examples/bank/src/";
const BANK_LINES_MAX: usize = 120;

/// Files that may be longer, each with its reason.
const LONGER: &[(&str, &str)] = &[];
/// Files that may have unsafe code, each with its reason.
const UNSAFE: &[(&str, &str)] = &[("crates/factum-embedded/src/folder.rs", "index runs are read in place, through a memory map")];

/// What is unfinished, or left from looking for a mistake.
const MACROS: &[&str] = &["todo", "unimplemented", "dbg"];
/// What stands on a test that does not run.
const IGNORED: &str = "ignore";
const UNSAFE_KEYWORD: &str = "unsafe";
/// What follows the keyword where code is unsafe.
const UNSAFE_FORMS: &[&str] = &["{", "fn", "impl", "trait", "extern"];

/// What the compiler is to refuse: each file is as a user may write it.
const UI_TESTS: &str = "tests/ui/";

/// What holds of a file by itself.
pub(crate) fn check(file: &TextFile, problems: &mut Vec<String>) {
    let path = &file.path;
    if path.contains(UI_TESTS) {
        return;
    }
    if !file.text.starts_with("//!") {
        problems.push(format!("{path}:1: begin with a `//!` line that says what the file is for"));
    }
    let (lines, max) = (file.text.lines().count(), lines_max(path));
    if max < lines && !listed(LONGER, path) {
        problems.push(format!("{path}: {lines} lines, more than {max}: split it"));
    }
    for (number, line) in file.lines() {
        if let Some(problem) = check_line(line, listed(UNSAFE, path)) {
            problems.push(format!("{path}:{number}: {problem}"));
        }
    }
}

/// What holds of the example to read first.
pub(crate) fn check_bank(files: &[TextFile], problems: &mut Vec<String>) {
    let bank = files.iter().filter(|file| file.path.starts_with(BANK) && file.extension() == "rs");
    let lines: usize = bank.map(|file| file.text.lines().count()).sum();
    if BANK_LINES_MAX < lines {
        problems.push(format!("{BANK}: {lines} lines, more than {BANK_LINES_MAX}: it is the example to read first"));
    }
}

fn lines_max(path: &str) -> usize {
    let is_test = path.split('/').any(|part| part == "tests" || part == "tests.rs");
    if is_test { TEST_LINES_MAX } else { LINES_MAX }
}

fn listed(table: &[(&str, &str)], path: &str) -> bool {
    table.iter().any(|(listed, _)| *listed == path)
}

fn check_line(line: &str, may_be_unsafe: bool) -> Option<String> {
    let columns = line.chars().count();
    if COLUMNS_MAX < columns {
        return Some(format!("{columns} columns, more than {COLUMNS_MAX}: break the line"));
    }
    let code = line.split("//").next().unwrap_or_default();
    // The words are put together here so that this file does not find itself.
    if let Some(name) = MACROS.iter().find(|name| code.contains(&format!("{name}!"))) {
        return Some(format!("`{name}!`: finish it"));
    }
    if code.contains(&format!("#[{IGNORED}")) {
        return Some("an ignored test: make it pass, or remove it".to_owned());
    }
    let has_unsafe = || UNSAFE_FORMS.iter().any(|form| code.contains(&format!("{UNSAFE_KEYWORD} {form}")));
    (!may_be_unsafe && has_unsafe()).then(|| "unsafe code: only the files that tidy lists may have it".to_owned())
}

#[cfg(test)]
mod tests {
    use super::{check, check_bank, check_line};
    use crate::tidy::files::TextFile;

    fn file(path: &str, text: &str) -> TextFile {
        TextFile { path: path.to_owned(), text: text.to_owned() }
    }

    #[track_caller]
    fn check_file(path: &str, text: &str, expected: &[&str]) {
        let mut problems = Vec::new();
        check(&file(path, text), &mut problems);
        assert_eq!(problems, expected);
    }

    #[test]
    fn a_file_says_what_it_is_for() {
        let message = "a.rs:1: begin with a `//!` line that says what the file is for";
        check_file("a.rs", "//! A thing.\n", &[]);
        check_file("a.rs", "use std::fmt;\n", &[message]);
        check_file("a.rs", "", &[message]);
        check_file("crates/a/tests/ui/bad.rs", "use std::fmt;\n", &[]);
    }

    #[test]
    fn a_file_has_one_subject() {
        let text = |lines: usize| format!("//! A thing.\n{}", "\n".repeat(lines - 1));
        check_file("src/a.rs", &text(600), &[]);
        check_file("src/a.rs", &text(601), &["src/a.rs: 601 lines, more than 600: split it"]);
        check_file("src/a/tests.rs", &text(1000), &[]);
        check_file("tests/it/a.rs", &text(1001), &["tests/it/a.rs: 1001 lines, more than 1000: split it"]);
    }

    #[test]
    fn the_bank_is_short_in_all_its_files() {
        let half = "\n".repeat(60);
        let bank = |last: &str| [file("examples/bank/src/lib.rs", &half), file("examples/bank/src/main.rs", last)];
        let mut problems = Vec::new();
        check_bank(&bank(&half), &mut problems);
        assert!(problems.is_empty());
        check_bank(&bank(&"\n".repeat(61)), &mut problems);
        assert_eq!(problems, ["examples/bank/src/: 121 lines, more than 120: it is the example to read first"]);
    }

    #[test]
    fn a_line_fits() {
        assert_eq!(check_line(&"ж".repeat(130), false), None);
        assert_eq!(check_line(&"x".repeat(131), false).unwrap(), "131 columns, more than 130: break the line");
    }

    #[test]
    fn nothing_is_left_unfinished() {
        for name in super::MACROS {
            let line = format!("    {name}!(\"later\")");
            assert_eq!(check_line(&line, true).unwrap(), format!("`{name}!`: finish it"));
            assert_eq!(check_line(&format!("// not {line}"), true), None);
        }
        assert!(check_line(&format!("#[{} = \"slow\"]", super::IGNORED), true).is_some());
    }

    #[test]
    fn unsafe_code_is_only_where_it_is_listed() {
        for form in super::UNSAFE_FORMS {
            let line = format!("    {} {form} ", super::UNSAFE_KEYWORD);
            assert!(check_line(&line, false).is_some(), "{line}");
            assert_eq!(check_line(&line, true), None);
        }
        assert_eq!(check_line("let it_is_unsafe = true;", false), None);
    }
}
