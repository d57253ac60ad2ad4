//! The table: what was measured, system by system, with the ratio between Factum and each other.

use std::fmt;

use serde::Serialize;

use crate::system::System;

/// A value and how it is written.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Cell {
    /// What ratios are made of.
    pub value: f64,
    /// What is shown.
    pub shown: String,
}

/// What a row is to reach.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) enum Goal {
    /// At least this many times as good as another system.
    Times(f64, #[serde(serialize_with = "system_name")] System),
    /// Better than another system.
    Ahead(#[serde(serialize_with = "system_name")] System),
    /// At most this much, in the unit of the row's values.
    AtMost(f64, &'static str),
}

/// Which values are the good ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) enum Better {
    /// Rates.
    Higher,
    /// Times and sizes.
    Lower,
}

/// A row: one thing, measured on the systems that were asked.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Row {
    what: String,
    /// The systems that such a row has values of.
    #[serde(skip)]
    columns: &'static [System],
    better: Better,
    cells: Vec<(&'static str, Cell)>,
    goals: Vec<Goal>,
}

/// All rows, and what is to be said about them.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Table {
    rows: Vec<Row>,
    notes: Vec<String>,
}

impl Row {
    /// A row without values.
    pub(crate) fn new(what: impl Into<String>, better: Better) -> Self {
        Self { what: what.into(), columns: System::STORES, better, cells: Vec::new(), goals: Vec::new() }
    }

    /// Of a projection.
    #[must_use]
    pub(crate) fn of_projection(self) -> Self {
        Self { columns: System::PROJECTORS, ..self }
    }

    /// Of these systems, in this order.
    #[must_use]
    pub(crate) fn of_systems(self, columns: &'static [System]) -> Self {
        Self { columns, ..self }
    }

    /// With the value of a system.
    pub(crate) fn cell(&mut self, system: System, cell: Cell) {
        self.cells.push((system.name(), cell));
    }

    /// With goals.
    #[must_use]
    pub(crate) fn goals(mut self, goals: &[Goal]) -> Self {
        self.goals.extend_from_slice(goals);
        self
    }

    fn of(&self, system: System) -> Option<&Cell> {
        self.cells.iter().find(|(name, _)| *name == system.name()).map(|(_, cell)| cell)
    }

    /// How many times as good as the other system Factum is; `None` where one of them is nothing.
    fn ratio(&self, other: System) -> Option<f64> {
        let (ours, theirs) = (self.of(System::Factum)?.value, self.of(other)?.value);
        let ratio = if self.better == Better::Higher { ours / theirs } else { theirs / ours };
        Some(ratio).filter(|ratio| ratio.is_finite())
    }

    /// Whether a goal is reached, as far as it was measured.
    fn reached(&self, goal: Goal) -> Option<bool> {
        match goal {
            Goal::Times(times, other) => self.ratio(other).map(|ratio| times <= ratio),
            Goal::Ahead(other) => self.ratio(other).map(|ratio| 1.0 < ratio),
            Goal::AtMost(most, _) => self.of(System::Factum).map(|ours| ours.value <= most),
        }
    }

    fn shown(&self, system: System) -> String {
        match (self.of(system), self.ratio(system)) {
            (None, _) => "–".to_owned(),
            (Some(cell), Some(ratio)) if system != System::Factum => format!("{} ({})", cell.shown, times(ratio)),
            (Some(cell), _) => cell.shown.clone(),
        }
    }

    fn shown_goals(&self) -> String {
        let shown = self.goals.iter().map(|&goal| match self.reached(goal) {
            Some(true) => goal.to_string(),
            Some(false) => format!("{goal} **lost**"),
            None => format!("{goal} not measured"),
        });
        shown.collect::<Vec<_>>().join("; ")
    }
}

impl fmt::Display for Goal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Times(times, other) => write!(f, "≥ {times} × {}", other.title()),
            Self::Ahead(other) => write!(f, "ahead of {}", other.title()),
            Self::AtMost(_, shown) => write!(f, "≤ {shown}"),
        }
    }
}

impl Table {
    /// Adds a row.
    pub(crate) fn push(&mut self, row: Row) {
        eprintln!("{row}");
        self.rows.push(row);
    }

    /// Adds a sentence that the table is to be read with.
    pub(crate) fn note(&mut self, note: String) {
        eprintln!("{note}");
        self.notes.push(note);
    }

    /// How many goals were not reached.
    pub(crate) fn lost(&self) -> usize {
        self.rows.iter().flat_map(|row| row.goals.iter().filter(|&&goal| row.reached(goal) == Some(false))).count()
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "| {} |", self.what)?;
        self.columns.iter().try_for_each(|&system| write!(f, " {} |", self.shown(system)))?;
        write!(f, " {} |", self.shown_goals())
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, rows) in self.rows.chunk_by(|one, next| one.columns == next.columns).enumerate() {
            let columns = rows[0].columns;
            write!(f, "{}| |", if number == 0 { "" } else { "\n" })?;
            columns.iter().try_for_each(|system| write!(f, " {} |", system.title()))?;
            writeln!(f, " goal |\n|---|{}---|", "---|".repeat(columns.len()))?;
            rows.iter().try_for_each(|row| writeln!(f, "{row}"))?;
        }
        self.notes.iter().try_for_each(|note| writeln!(f, "\n{note}"))
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn system_name<S: serde::Serializer>(system: &System, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(system.name())
}

fn times(ratio: f64) -> String {
    if ratio < 9.95 { format!("{ratio:.2}×") } else { format!("{ratio:.0}×") }
}

/// A rate, such as `45.1 k/s`.
pub(crate) fn rate(per_second: f64) -> String {
    format!("{}/s", short(per_second))
}

/// A number with three digits or so, such as `45.1 k`.
pub(crate) fn short(number: f64) -> String {
    match number {
        small if small < 9_995.0 => format!("{small:.0}"),
        thousands if thousands < 999_500.0 => format!("{} k", digits(thousands / 1e3)),
        millions if millions < 999.5e6 => format!("{} M", digits(millions / 1e6)),
        more => format!("{} G", digits(more / 1e9)),
    }
}

/// A time in microseconds, such as `107 µs`.
pub(crate) fn micros(micros: f64) -> String {
    match micros {
        small if small < 9_995.0 => format!("{} µs", digits(small)),
        millis if millis < 999_500.0 => format!("{} ms", digits(millis / 1e3)),
        more => format!("{} s", digits(more / 1e6)),
    }
}

fn digits(number: f64) -> String {
    match number {
        tiny if tiny < 9.95 => format!("{tiny:.2}"),
        small if small < 99.5 => format!("{small:.1}"),
        more => format!("{more:.0}"),
    }
}

#[cfg(test)]
mod tests {
    use super::{Better, Cell, Goal, Row, Table, micros, short};
    use crate::system::System;

    fn row(better: Better, goals: &[Goal]) -> Row {
        let mut row = Row::new("appends", better).goals(goals);
        row.cell(System::Factum, Cell { value: 300.0, shown: "300".to_owned() });
        row.cell(System::Umadb, Cell { value: 200.0, shown: "200".to_owned() });
        row
    }

    #[test]
    fn a_ratio_above_one_is_in_factums_favour() {
        assert_eq!(row(Better::Higher, &[]).ratio(System::Umadb), Some(1.5));
        assert_eq!(row(Better::Lower, &[]).ratio(System::Umadb), Some(200.0 / 300.0));
    }

    #[test]
    fn a_lost_goal_is_marked_and_one_without_its_peer_is_not_measured() {
        let goals = [Goal::Times(2.0, System::Umadb), Goal::Ahead(System::Sqlite), Goal::AtMost(300.0, "300 µs")];
        let shown = row(Better::Higher, &goals).to_string();
        let expected = "| appends | 300 | – | 200 (1.50×) | – | ≥ 2 × UmaDB **lost**; ahead of SQLite not measured; ≤ 300 µs |";
        assert_eq!(shown, expected);
    }

    #[test]
    fn rows_of_other_systems_are_a_table_of_their_own_and_nothing_has_no_ratio() {
        let mut misses = Row::new("misses", Better::Lower).of_projection();
        for (system, value) in [(System::Factum, 0.0), (System::CqrsEs, 0.0), (System::Eventsourced, 7.0)] {
            misses.cell(system, Cell { value, shown: value.to_string() });
        }
        let table = Table { rows: vec![row(Better::Higher, &[]), misses], notes: vec!["read it so".to_owned()] };
        let expected = "| | Factum | the limit | UmaDB | SQLite | goal |\n|---|---|---|---|---|---|\n\
             | appends | 300 | – | 200 (1.50×) | – |  |\n\n\
             | | Factum | Factum, 4 partitions | cqrs-es | eventsourced | goal |\n|---|---|---|---|---|---|\n\
             | misses | 0 | – | 0 | 7 |  |\n\nread it so\n";
        assert_eq!(table.to_string(), expected);
    }

    #[test]
    fn numbers_are_short() {
        assert_eq!([7.0, 9_994.0, 45_123.0, 1_250_000.0].map(short), ["7", "9994", "45.1 k", "1.25 M"]);
        assert_eq!([0.4, 107.3, 12_340.0, 2e6].map(micros), ["0.40 µs", "107 µs", "12.3 ms", "2.00 s"]);
    }
}
