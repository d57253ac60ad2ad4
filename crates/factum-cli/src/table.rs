//! A table for people: columns that line up, the last one cut where the terminal ends.

use std::io::{self, Write};

use anstyle::Style;
use serde_json::value::RawValue;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use crate::members::{self, Members};

/// A table that is printed as its rows come: a column gets wider, never narrower.
pub(crate) struct Table {
    bold: Style,
    width: Option<usize>,
    columns: Vec<usize>,
}

impl Table {
    /// A table with or without colour, cut at a width where there is one.
    pub(crate) fn new(color: bool, width: Option<usize>) -> Self {
        Self { bold: if color { Style::new().bold() } else { Style::new() }, width, columns: Vec::new() }
    }

    /// Prints rows, all with the same members, and the heading before the first of them.
    pub(crate) fn rows(&mut self, out: &mut impl Write, rows: &[Members<'_>]) -> io::Result<()> {
        let Some(Members(first)) = rows.first() else { return Ok(()) };
        let cells: Vec<Vec<String>> = rows.iter().map(|row| row.0.iter().map(|(_, value)| cell(value)).collect()).collect();
        let right: Vec<bool> = first.iter().map(|(_, value)| is_number(value)).collect();
        let heading: Option<Vec<String>> = self.columns.is_empty().then(|| first.iter().map(|(name, _)| name.clone()).collect());
        self.columns.resize(right.len(), 0);
        for line in heading.iter().chain(&cells) {
            for (width, cell) in self.columns.iter_mut().zip(line) {
                *width = cell.width().max(*width);
            }
        }
        if let Some(heading) = heading {
            let bold = self.bold;
            writeln!(out, "{bold}{}{bold:#}", self.line(&heading, &right))?;
        }
        cells.iter().try_for_each(|line| writeln!(out, "{}", self.line(line, &right)))
    }

    fn line(&self, cells: &[String], right: &[bool]) -> String {
        let mut line = String::new();
        for (i, cell) in cells.iter().enumerate() {
            let padding = " ".repeat(self.columns[i].saturating_sub(cell.width()));
            line += &if right[i] { format!("{padding}{cell}  ") } else { format!("{cell}{padding}  ") };
        }
        cut(line.trim_end(), self.width)
    }
}

/// Prints what one record has, a line each, and the lists in it as tables.
pub(crate) fn record(out: &mut impl Write, Members(members): &Members<'_>) -> io::Result<()> {
    let lists = members.iter().filter_map(|(_, value)| serde_json::from_str::<Vec<Members<'_>>>(value.get()).ok());
    let lines: Vec<_> = members.iter().filter(|(_, value)| !value.get().starts_with('[')).collect();
    let width = lines.iter().map(|(name, _)| name.width()).max().unwrap_or(0);
    for (name, value) in lines {
        writeln!(out, "{name}{}  {}", " ".repeat(width - name.width()), cell(value))?;
    }
    for list in lists.filter(|list| !list.is_empty()) {
        writeln!(out)?;
        Table::new(false, None).rows(out, &list)?;
    }
    Ok(())
}

fn is_number(json: &RawValue) -> bool {
    json.get().starts_with(|c: char| c == '-' || c.is_ascii_digit())
}

/// A value on one line; what would move a terminal's cursor is a space.
fn cell(json: &RawValue) -> String {
    printable(&members::cell(json))
}

/// A text with a space for each control character.
pub(crate) fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// The text, or as much of it as there is room for.
pub(crate) fn cut(text: &str, width: Option<usize>) -> String {
    match width {
        Some(width) if width < text.width() => {
            let mut used = 1;
            let fits = |c: &char| {
                used += c.width().unwrap_or(0);
                used <= width
            };
            text.chars().take_while(fits).chain(['…']).collect()
        }
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::{Members, Table, cut, record};

    fn object(json: &str) -> Members<'_> {
        Members::of(json.as_bytes()).unwrap()
    }

    #[test]
    fn columns_line_up_in_every_script_and_get_wider_as_rows_come() {
        let mut out = Vec::new();
        let mut table = Table::new(false, Some(20));
        table.rows(&mut out, &[object(r#"{"n": 7, "stream": "заказ-1", "data": "a\u001bb"}"#)]).unwrap();
        table.rows(&mut out, &[object(r#"{"n": 1000, "stream": "漢字", "data": "a long text"}"#)]).unwrap();
        let lines = ["n  stream   data", "7  заказ-1  a b", "1000  漢字     a lo…", ""];
        assert_eq!(String::from_utf8(out).unwrap(), lines.join("\n"));
    }

    #[test]
    fn a_record_is_its_members_and_then_its_lists() {
        let mut out = Vec::new();
        record(&mut out, &object(r#"{"kinds": [{"kind": "a"}], "events": 2, "log": "x", "none": []}"#)).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), "events  2\nlog     x\n\nkind\na\n");
    }

    #[test]
    fn a_text_is_cut_to_a_width_and_not_to_a_number_of_characters() {
        assert_eq!(cut("漢字漢字", Some(5)), "漢字…");
        assert_eq!(cut("漢字", Some(4)), "漢字");
    }
}
