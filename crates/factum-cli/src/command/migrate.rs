//! `factum migrate`: brings the schema of a database to this program's version.

use factum_postgres::{Logs, SCHEMA_VERSION};
use serde::Serialize;

use crate::command::Context;
use crate::exit::Failure;
use crate::target::Target;

/// What a migration did.
#[derive(Serialize)]
struct Migrated {
    from: i32,
    to: i32,
}

/// Migrates, and says from what to what.
pub(crate) async fn run(mut context: Context<'_>) -> Result<(), Failure> {
    let Target::Postgres { url, .. } = &context.target else {
        return Err(
            Failure::usage("a folder needs no migration").hint("name a database with --store postgres://USER@HOST/DATABASE")
        );
    };
    let from = Logs::at(url)?.migrate().await?;
    context.output.record(&Migrated { from, to: SCHEMA_VERSION })
}
