//! Several logs of a database beside one.

use anyhow::Result;

use super::append::rates;
use super::round::{self, Load};
use crate::config::Config;
use crate::database::Databases;
use crate::row::Rounds;
use crate::system::System;
use crate::table::Table;

/// So many writers, all in one log or the same number in each of eight.
const WRITERS: u64 = 64;

/// Measures both in turns.
///
/// # Errors
/// Where Factum fails.
pub(super) fn run(config: &Config, databases: &mut Databases, table: &mut Table) -> Result<()> {
    for &events in &config.postgres.appends_of {
        let load = Load { writers: WRITERS, events, seconds: config.postgres.seconds, followed: false };
        let mut rounds = Rounds::default();
        for _ in 0..config.postgres.rounds {
            for &system in &config.postgres.logs {
                rounds.add(system, round::run(system, load, databases, &config.folder)?.appends);
            }
        }
        let plural = if events == 1 { "" } else { "s" };
        let what = format!("append, {WRITERS} writers × {events} event{plural}, in one log or 8 in each of eight");
        table.push(rates(what, &config.postgres.logs, load, &rounds).of_systems(System::LOGS));
    }
    Ok(())
}
