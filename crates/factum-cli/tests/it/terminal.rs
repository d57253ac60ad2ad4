//! What a person sees on a terminal.
#![cfg(target_os = "linux")]

use std::fs::{File, OpenOptions};
use std::io::Read;

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

use crate::factum::Folder;

/// Runs the binary with stdout and stderr on a terminal of 60 columns, and says what it shows.
fn shown(folder: &Folder, arguments: &[&str], variable: Option<(&str, &str)>) -> String {
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&master).unwrap();
    unlockpt(&master).unwrap();
    tcsetwinsize(&master, Winsize { ws_row: 20, ws_col: 60, ws_xpixel: 0, ws_ypixel: 0 }).unwrap();
    let name = ptsname(&master, Vec::new()).unwrap().into_string().unwrap();
    let terminal = || OpenOptions::new().read(true).write(true).open(&name).unwrap();
    let mut command = folder.command(arguments);
    command.env("TERM", "xterm-256color").env_remove("CI").envs(variable);
    let mut child = command.stdout(terminal()).stderr(terminal()).spawn().unwrap();
    // The command keeps its ends open otherwise, and the terminal would never end.
    drop(command);
    let mut bytes = Vec::new();
    // A terminal that nobody holds any more ends with an error.
    let _ = File::from(master).read_to_end(&mut bytes);
    child.wait().unwrap();
    String::from_utf8(bytes).unwrap()
}

fn folder() -> Folder {
    let folder = Folder::new();
    folder.append("account-1", "Opened", &[]);
    folder.append("account-1", "DepositedMoreThanFitsOnALine", &[]);
    folder
}

#[test]
fn events_are_a_table_cut_at_the_end_of_the_line() {
    let shown = shown(&folder(), &["--color", "never", "read"], None);
    let lines: Vec<_> = shown.lines().collect();
    assert_eq!(lines.len(), 3, "{shown}");
    assert!(lines[0].starts_with("position  recorded"), "{shown}");
    assert!(lines[2].ends_with('…') && lines.iter().all(|line| line.chars().count() <= 60), "{shown}");
}

#[test]
fn a_terminal_gets_colour_unless_it_is_told_otherwise() {
    let folder = folder();
    assert!(shown(&folder, &["read"], None).contains('\u{1b}'));
    assert!(shown(&folder, &["read", "nothing"], None).contains("no event"));
    assert!(!shown(&folder, &["read"], Some(("NO_COLOR", "1"))).contains('\u{1b}'));
    assert!(!shown(&folder, &["read", "--color", "never"], None).contains('\u{1b}'));
    let failure = shown(&folder, &["stream", "show", "x"], Some(("NO_COLOR", "1")));
    assert!(failure.starts_with("error: ") && !failure.contains('\u{1b}'), "{failure}");
}

#[test]
fn format_wins_over_the_terminal() {
    assert!(shown(&folder(), &["read", "--format", "ndjson"], None).starts_with('{'));
}

#[test]
fn a_long_command_shows_a_bar_that_vanishes() {
    let folder = Folder::new();
    let lines: String = (0..2_000).map(|id| crate::append::line(&id.to_string(), "a", "T")).collect();
    let file = folder.file("events.ndjson", lines);
    let shown = shown(&folder, &["import", &file], None);
    assert!(shown.contains("events ·") && shown.contains("/s"), "{shown:?}");
    assert!(shown.trim_end().ends_with("head             2000"), "{shown:?}");
}
