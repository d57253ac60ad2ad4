//! `factum group`: looks at consumer groups, and controls them.

use factum::{Group, GroupError, GroupStatus, Log, Position};
use serde::Serialize;

use crate::args;
use crate::command::Context;
use crate::exit::Failure;
use crate::target::Opened;

/// Does one of them.
pub(crate) async fn run(args: args::Group, context: Context<'_>) -> Result<(), Failure> {
    use args::Group;
    match args {
        Group::Ls => list(context).await,
        Group::Show { name } => show(&reader(&context, &name).await?, context).await,
        Group::Parked { name } => parked(&reader(&context, &name).await?, context).await,
        Group::Retry { name, position } => {
            writer(&context, &name).await?.replay(position.map(Position::new)).await?;
            done(&context, "it is delivered again to the member that has its partition")
        }
        Group::Discard { name, position } => {
            writer(&context, &name).await?.discard(Position::new(position)).await?;
            done(&context, &format!("{position} will not be delivered any more"))
        }
        Group::Reset { name, to } => {
            writer(&context, &name).await?.reset(Position::new(to)).await?;
            done(&context, &format!("everything after {to} is delivered again"))
        }
        Group::Rm { name } => {
            writer(&context, &name).await?.remove().await?;
            done(&context, &format!("{name} is removed"))
        }
    }
}

async fn reader(context: &Context<'_>, name: &str) -> Result<Group, Failure> {
    of(&context.target.reader().await?, name)
}

fn of(opened: &Opened, name: &str) -> Result<Group, Failure> {
    Ok(Log::new(opened.store()).group(name)?)
}

async fn writer(context: &Context<'_>, name: &str) -> Result<Group, Failure> {
    // A command changes what is there: it makes no store.
    context.target.reader().await?;
    of(&context.target.writer().await?, name)
}

fn done(context: &Context<'_>, text: &str) -> Result<(), Failure> {
    context.console.note(text);
    Ok(())
}

/// A group in a list.
#[derive(Serialize)]
struct Row {
    group: String,
    members: usize,
    position: u64,
    lag_events: u64,
    parked: usize,
}

fn row(group: &Group, status: &GroupStatus) -> Row {
    Row {
        group: group.name().to_owned(),
        members: status.members.len(),
        position: status.checkpoint().get(),
        lag_events: status.lag_events(),
        parked: status.parked.len(),
    }
}

async fn list(mut context: Context<'_>) -> Result<(), Failure> {
    let log = Log::new(context.target.reader().await?.store());
    let mut rows = Vec::new();
    for group in log.groups().await? {
        rows.push(row(&group, &group.status().await?));
    }
    context.output.rows(&rows)?;
    context.output.finish()
}

/// A group, with its members and partitions.
#[derive(Serialize)]
struct Shown {
    #[serde(flatten)]
    row: Row,
    tries: u32,
    member_timeout_seconds: f64,
    partitions: Vec<Part>,
}

#[derive(Serialize)]
struct Part {
    partition: u32,
    position: u64,
    member: Option<String>,
}

async fn show(group: &Group, mut context: Context<'_>) -> Result<(), Failure> {
    let status = group.status().await?;
    let member = |partition: u32| status.members.iter().find(|(_, partitions)| partitions.contains(&partition));
    let part = |(partition, position): (u32, &Position)| Part {
        partition,
        position: position.get(),
        member: member(partition).map(|(name, _)| name.clone()),
    };
    context.output.record(&Shown {
        row: row(group, &status),
        tries: status.settings.backoff.tries,
        member_timeout_seconds: status.settings.member_timeout.as_secs_f64(),
        partitions: (0..).zip(&status.checkpoints).map(part).collect(),
    })
}

/// A parked event.
#[derive(Serialize)]
struct ParkedRow {
    position: u64,
    stream: String,
    tries: u32,
    parked: String,
    error: String,
}

async fn parked(group: &Group, mut context: Context<'_>) -> Result<(), Failure> {
    let row = |parked: factum::ParkedDelivery| ParkedRow {
        position: parked.position.get(),
        stream: parked.stream.to_string(),
        tries: parked.tries,
        parked: parked.parked_at.to_string(),
        error: parked.error,
    };
    context.output.rows(&group.status().await?.parked.into_iter().map(row).collect::<Vec<_>>())?;
    context.output.finish()
}

impl From<GroupError> for Failure {
    fn from(error: GroupError) -> Self {
        match error {
            GroupError::Store(error) => error.into(),
            GroupError::NotFound(name) => {
                Self::not_found(format!("there is no group {name}")).hint("`factum group ls` lists those that there are")
            }
            GroupError::NotParked { .. } => Self::not_found(error.to_string()).hint("`factum group parked` lists what is"),
            _ => Self::failed(error.to_string()),
        }
    }
}
