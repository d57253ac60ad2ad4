//! Bytes on disk, index included, after loading and closing.

use anyhow::Result;

use crate::config::{Config, Size};
use crate::loaded::Loaded;
use crate::table::{Better, Cell, Goal, Row, Table, short};
use crate::workload::DataSet;

/// Weighs the loaded folders, less the events' own data, names and tags, and in all.
///
/// # Errors
/// Where loading fails.
pub(crate) fn run(config: &Config, loaded: &mut Loaded, table: &mut Table) -> Result<()> {
    for size in config.sizes() {
        let own = own_bytes(size.set);
        let events = short(size.set.events as f64);
        let beyond = format!("bytes on disk an event beyond its own {own:.0}, {events} events");
        let goal = Goal::AtMost(100.0, "100 bytes");
        table.push(row(loaded, &size, Row::new(beyond, Better::Lower).goals(&[goal]), own)?);
        table.push(row(loaded, &size, Row::new(format!("bytes on disk an event in all, {events} events"), Better::Lower), 0.0)?);
    }
    Ok(())
}

fn row(loaded: &mut Loaded, size: &Size, mut row: Row, own: f64) -> Result<Row> {
    for &system in &size.systems {
        let value = loaded.load(system, size.set)?.disk_bytes as f64 / size.set.events as f64 - own;
        row.cell(system, Cell { value, shown: format!("{value:.0} B") });
    }
    Ok(row)
}

/// The mean of what an event is: its data, its names and its tags.
fn own_bytes(set: DataSet) -> f64 {
    // Names grow with their numbers, so a sample is taken evenly.
    let sample = (0..set.events).step_by((set.events / 10_000).max(1) as usize | 1);
    let (count, bytes) = sample.fold((0, 0), |(count, bytes), number| (count + 1, bytes + set.event(number).own_bytes()));
    bytes as f64 / f64::from(count)
}
