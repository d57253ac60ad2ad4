//! Event stores on PostgreSQL, served to the benchmark: `factum-bench-postgres SYSTEM URL`.
//!
//! What is measured, and how, is the benchmark's own source.

use anyhow::{Context, Result, bail};

#[path = "../../../src/workload.rs"]
#[expect(dead_code, reason = "what the other suites append and read is not asked for here")]
mod workload;
#[path = "../../../src/stats.rs"]
#[expect(dead_code, reason = "medians are made by the measuring process")]
mod stats;
#[path = "../../../src/command.rs"]
#[expect(dead_code, reason = "a system on PostgreSQL is measured by some of it")]
mod command;
#[path = "../../../src/converse.rs"]
mod converse;
#[path = "../../../src/moments.rs"]
#[expect(dead_code, reason = "they are read and compared by the measuring process")]
mod moments;
#[path = "../../../src/entry.rs"]
mod entry;
#[path = "../../../src/contender.rs"]
mod contender;
mod disintegrate;
mod eventcore;
mod postgres_es;

/// The allocator of all systems, as programs that care for speed have one.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let usage = "usage: factum-bench-postgres SYSTEM URL";
    let (system, url) = (arguments.next().context(usage)?, arguments.next().context(usage)?);
    match system.as_str() {
        "disintegrate" => contender::serve::<disintegrate::Disintegrate>(&url),
        "eventcore" => contender::serve::<eventcore::Eventcore>(&url),
        "postgres-es" => contender::serve::<postgres_es::PostgresEs>(&url),
        other => bail!("there is no {other} here"),
    }
}
