//! What holds of every command: where output goes, what it looks like, how it ends.

use std::process::Command;

use crate::factum::{Folder, next_line, stdout, values};

#[test]
fn data_goes_to_stdout_and_everything_else_to_stderr() {
    let folder = Folder::new();
    folder.append("account-1", "Opened", &[]);
    let exported = folder.run(&["-v", "export"]);
    assert_eq!(values(&exported.stdout).len(), 1, "{exported:?}");
    assert_eq!(exported.stderr, format!("store: {}\nevents exported: 1\n", folder.path("store").display()));
    let read = folder.run(&["read", "--type", "Closed"]);
    assert_eq!((read.code, read.stdout.as_str(), read.stderr.as_str()), (0, "", "no event is selected\n"));
    let quiet = folder.run(&["-q", "read", "--type", "Closed"]);
    assert_eq!((quiet.stdout.as_str(), quiet.stderr.as_str()), ("", ""));
}

#[test]
fn without_a_terminal_every_line_is_a_json_value_and_format_wins() {
    let folder = Folder::new();
    folder.append("account-1", "Opened", &[]);
    folder.append("account-2", "Opened", &[]);
    for command in [&["read"][..], &["stream", "ls"], &["stream", "show", "account-1"], &["stats"], &["verify"]] {
        assert!(!values(&folder.ok(command)).is_empty(), "{command:?}");
        let document = folder.ok(&[command, &["--format", "json"]].concat());
        assert!(serde_json::from_str::<serde_json::Value>(&document).is_ok(), "{document}");
        let table = folder.ok(&[command, &["--format", "table"]].concat());
        assert!(!table.starts_with('{') && !table.starts_with('['), "{table}");
    }
    assert_eq!(folder.ok(&["read", "--type", "Closed", "--format", "json"]), "[]\n");
}

#[test]
fn a_flag_has_an_environment_twin_and_wins_over_it() {
    let folder = Folder::new();
    folder.append("account-1", "Opened", &[]);
    let run = |variable: &str, value: &str, arguments: &[&str]| {
        let mut command = folder.command(arguments);
        command.env(variable, value);
        crate::factum::end(command, b"")
    };
    assert!(run("FACTUM_FORMAT", "table", &["read"]).ok().starts_with("position"));
    assert!(run("FACTUM_FORMAT", "table", &["read", "--format", "ndjson"]).ok().starts_with('{'));
    assert_eq!(run("FACTUM_QUIET", "1", &["read", "-v", "--type", "Closed"]).stderr, "");
    assert_ne!(run("FACTUM_QUIET", "0", &["read", "--type", "Closed"]).stderr, "");
    assert_eq!(run("FACTUM_DIR", "elsewhere", &["read"]).code, 4);
    assert!(run("FACTUM_COLOR", "always", &["read", "--format", "table"]).ok().contains('\u{1b}'));
}

#[test]
fn an_error_is_a_fragment_with_its_causes_then_a_blank_line_and_a_hint() {
    let folder = Folder::new();
    folder.append("account-1", "Opened", &[]);
    let ended = folder.run(&["stream", "show", "account-2"]);
    let expected = "error: there is no stream account-2\n\n\
                    hint: `factum stream ls --prefix TEXT` lists the streams whose names begin like that\n";
    assert_eq!((ended.code, ended.stdout.as_str(), ended.stderr.as_str()), (4, "", expected));
}

#[test]
fn colour_is_for_terminals_unless_it_is_asked_for() {
    let folder = Folder::new();
    let failing = ["stream", "show", "account-2"];
    assert!(!folder.run(&failing).stderr.contains('\u{1b}'));
    assert!(folder.run(&["--color", "always", "stream", "show", "account-2"]).stderr.contains('\u{1b}'));
}

#[test]
fn a_reader_that_has_seen_enough_is_no_failure() {
    let folder = Folder::new();
    let lines: String = (0..5_000).map(|i| line(i, &"x".repeat(200))).collect();
    folder.feed(&["append"], lines).ok();
    let mut child = folder.start(&["read"]);
    let mut out = stdout(&mut child);
    assert!(next_line(&mut out).starts_with('{'));
    drop(out);
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(0), &b""[..]));
}

fn line(id: u32, data: &str) -> String {
    format!(
        "{{\"specversion\":\"1.0\",\"id\":\"{id}\",\"source\":\"t\",\"type\":\"T\",\"subject\":\"s-{id}\",\"data\":\"{data}\"}}\n"
    )
}

/// Every command, as `--help` lists them, down to the last level.
fn every_command() -> Vec<Vec<String>> {
    let mut every = vec![Vec::new()];
    let mut next = 0;
    while next < every.len() {
        let command: Vec<String> = every[next].clone();
        let help = help(&command);
        let listed = help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
        let names = listed.filter(|line| line.starts_with("  ") && !line.starts_with("   "));
        let names = names.filter_map(|line| line.split_whitespace().next()).filter(|name| *name != "help");
        every.extend(names.map(|name| [command.clone(), vec![name.to_owned()]].concat()));
        next += 1;
    }
    every
}

fn help(command: &[String]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_factum")).args(command).arg("--help").output().unwrap();
    assert!(output.status.success(), "{command:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn help_fits_a_hundred_columns_and_documents_the_exit_codes() {
    let every = every_command();
    assert!(every.contains(&vec!["stream".to_owned(), "ls".to_owned()]), "{every:?}");
    for command in &every {
        let help = help(command);
        let long = help.lines().find(|line| 100 < line.chars().count());
        assert_eq!(long, None, "{command:?}");
    }
    let codes = help(&[]);
    for code in ["0  done", "1  failed", "2  usage", "3  conflict", "4  not found", "5  unavailable", "130  interrupted"] {
        assert!(codes.contains(code), "{code}");
    }
}

#[test]
fn shells_and_manuals_know_every_command() {
    let folder = Folder::new();
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let script = folder.ok(&["completions", shell]);
        assert!(script.contains("import") && script.contains("time-zone"), "{shell}");
    }
    folder.ok(&["man", "pages"]);
    for page in ["factum.1", "factum-append.1", "factum-stream-show.1"] {
        assert!(folder.path("pages").join(page).exists(), "{page}");
    }
}

#[test]
fn arguments_that_make_no_command_end_with_two() {
    let folder = Folder::new();
    let long = "x".repeat(1025);
    for arguments in [
        &[][..],
        &["nonsense"],
        &["read", "--limit", "0"],
        &["read", "--limit", "many"],
        &["read", "--after", "1", "--last", "1"],
        &["read", "a", "--category", "b"],
        &["read", "--since", "yesterday"],
        &["read", "--follow", "--backward"],
        &["read", "--follow", "--format", "json"],
        &["read", "--format", "csv"],
        &["read", "--tag", "untagged"],
        &["read", &long],
        &["append", "a", "--data", "{}"],
        &["append", "a", "--type", "T"],
        &["append", "a", "--type", "T", "--data", "{"],
        &["append", "a", "--type", "T", "--data", "{}", "--expect", "some"],
        &["append", "a", "--type", "T", "--data", "{}", "--id", "7"],
        &["append", "--expect", "none"],
        &["export", "--format", "table"],
        &["export", "--envelope"],
    ] {
        let ended = folder.run(arguments);
        assert_eq!((ended.code, ended.stdout.as_str()), (2, ""), "{arguments:?}: {ended:?}");
        assert!(!ended.stderr.is_empty(), "{arguments:?}");
    }
    assert!(!folder.path("store").exists());
}
