//! `factum projection`: looks at read models, and controls them.

use std::path::Path;
use std::time::Duration;

use factum::{ControlError, Phase, Position, Range, Read, ReadDb, ReadModel, ReadModelName, ReadModels, Store, Timestamp};
use factum_postgres::PgDb;
use factum_sqlite::SqliteDb;
use serde::Serialize;

use crate::args;
use crate::command::Context;
use crate::exit::{Exit, Failure};
use crate::target::{Target, is_url};

/// How long to wait for whoever fills a read model to do what is asked.
const PATIENCE: Duration = Duration::from_secs(10);

/// Does one of them.
pub(crate) async fn run(args: args::Projection, context: Context<'_>) -> Result<(), Failure> {
    let place = match (&args.db().place, &context.target) {
        (Some(place), _) => place.clone(),
        (None, Target::Postgres { url, .. }) => url.clone(),
        (None, Target::Folder(_)) => DEFAULT_FILE.to_owned(),
    };
    if is_url(&place) {
        return run_on(args, ReadModels::new(PgDb::open(&place).await?), context).await;
    }
    if !Path::new(&place).is_file() {
        let hint = "name the SQLite file or the database that the program keeps its read models in, with --read-db";
        return Err(Failure::not_found(format!("there is no file {place}")).hint(hint));
    }
    run_on(args, ReadModels::new(SqliteDb::open(&place).await?), context).await
}

/// The file of the read models, unless another is named.
const DEFAULT_FILE: &str = "read.sqlite";

async fn run_on<D: ReadDb>(args: args::Projection, models: ReadModels<D>, context: Context<'_>) -> Result<(), Failure> {
    use args::Projection;
    match args {
        Projection::Ls { .. } => list(&models, context).await,
        Projection::Show { name, .. } => show(&models, &name, context).await,
        Projection::Pause { name, .. } => {
            let name = named(&models, &name).await?;
            models.pause(&name).await?;
            done(&context, &format!("{name} waits until it is resumed"))
        }
        Projection::Resume { name, .. } => {
            let name = named(&models, &name).await?;
            models.resume(&name).await?;
            done(&context, &format!("{name} goes on, where its program runs"))
        }
        Projection::Rebuild { name, cancel, stream, rate, .. } => {
            let name = named(&models, &name).await?;
            let text = match (cancel, stream, rate) {
                (true, _, _) => cancel_rebuild(&models, &name).await?,
                (_, Some(stream), _) => {
                    models.rebuild_stream(&name, &stream, PATIENCE).await?;
                    format!("{stream} is made again in {name}")
                }
                (_, _, Some(rate)) => {
                    models.throttle(&name, (rate != 0).then_some(rate)).await?;
                    match rate {
                        0 => format!("{name} handles as many events as it can"),
                        _ => format!("{name} handles {rate} events a second in each partition"),
                    }
                }
                _ => format!(
                    "{} is filled beside {name}, where its program runs, and takes its place then",
                    models.rebuild(&name).await?
                ),
            };
            done(&context, &text)
        }
        Projection::Drop { name, .. } => {
            models.drop(&name).await?;
            done(&context, &format!("{name} is dropped"))
        }
        Projection::Parked { name, .. } => parked(&models, &name, context).await,
        Projection::Retry { name, position, .. } => {
            let name = named(&models, &name).await?;
            models.retry(&name, Position::new(position), PATIENCE).await?;
            done(&context, &format!("what was parked with {position} was tried again"))
        }
        Projection::Discard { name, position, .. } => {
            let name = named(&models, &name).await?;
            models.discard(&name, Position::new(position), PATIENCE).await?;
            done(&context, &format!("{position} is forgotten, and what waited behind it was tried"))
        }
    }
}

fn done(context: &Context<'_>, text: &str) -> Result<(), Failure> {
    context.console.note(text);
    Ok(())
}

/// The read model that a user means: by its whole name, or the live one of a projection.
async fn named<D: ReadDb>(models: &ReadModels<D>, text: &str) -> Result<ReadModelName, Failure> {
    if text.contains('@') {
        return text.parse().map_err(|error: factum::ReadModelNameError| Failure::usage(error.to_string()));
    }
    let missing =
        || Failure::not_found(format!("there is no projection {text}")).hint("`factum projection ls` lists those that there are");
    models.live(text).await?.ok_or_else(missing)
}

async fn cancel_rebuild<D: ReadDb>(models: &ReadModels<D>, name: &ReadModelName) -> Result<String, Failure> {
    let all = models.list().await?;
    let filling = all.into_iter().find(|model| model.phase == Phase::Filling && model.name.projection() == name.projection());
    let Some(filling) = filling else {
        return Err(Failure::not_found(format!("no read model of {} is filled just now", name.projection())));
    };
    models.drop(&filling.name).await?;
    Ok(format!("{} is dropped, and {name} stays live", filling.name))
}

/// A read model in a list.
#[derive(Serialize)]
struct Row {
    read_model: String,
    phase: &'static str,
    state: String,
    position: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    lag_events: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lag_seconds: Option<u64>,
    parked: u64,
}

async fn list<D: ReadDb>(models: &ReadModels<D>, mut context: Context<'_>) -> Result<(), Failure> {
    let mut rows = Vec::new();
    for model in models.list().await? {
        rows.push(row(&model, &context).await?);
    }
    context.output.rows(&rows)?;
    context.output.finish()
}

async fn row(model: &ReadModel, context: &Context<'_>) -> Result<Row, Failure> {
    let (lag_events, lag_seconds) = lag(model.checkpoint(), context).await?;
    Ok(Row {
        read_model: model.name.to_string(),
        phase: phase(model.phase),
        state: state(model),
        position: model.checkpoint().get(),
        lag_events,
        lag_seconds,
        parked: model.parked,
    })
}

fn phase(phase: Phase) -> &'static str {
    match phase {
        Phase::Filling => "filling",
        Phase::Live => "live",
        _ => "retired",
    }
}

fn state(model: &ReadModel) -> String {
    let failure = model.partitions.iter().find_map(|partition| partition.failure.as_ref());
    match failure {
        Some(failure) => format!("stopped at {}: {}", failure.position, failure.error),
        None if model.paused => "paused".to_owned(),
        None if model.partitions.iter().all(|partition| partition.lease.is_some()) => "running".to_owned(),
        None => "not running".to_owned(),
    }
}

/// How many events lie before the head, and how old the oldest of them is; nothing where there is no store to look at.
async fn lag(checkpoint: Position, context: &Context<'_>) -> Result<(Option<u64>, Option<u64>), Failure> {
    let Ok(opened) = context.target.reader().await else { return Ok((None, None)) };
    let store = opened.store();
    let head = store.head().await?;
    let next =
        store.read(Read::new(factum::Query::all()).range(Range::after(checkpoint)).limit(1)).await?.events.into_iter().next();
    let age =
        next.map_or(0, |event| Timestamp::now().as_micros().saturating_sub(event.recorded_at.as_micros()).max(0) / 1_000_000);
    Ok((Some(head.get().saturating_sub(checkpoint.get())), u64::try_from(age).ok()))
}

/// A read model, with its partitions.
#[derive(Serialize)]
struct Shown {
    #[serde(flatten)]
    row: Row,
    events: u64,
    partitions: Vec<Part>,
}

#[derive(Serialize)]
struct Part {
    partition: usize,
    position: u64,
    events: u64,
    holder: Option<String>,
    failure: Option<String>,
}

async fn show<D: ReadDb>(models: &ReadModels<D>, name: &str, mut context: Context<'_>) -> Result<(), Failure> {
    let name = named(models, name).await?;
    let model = models.get(&name).await?;
    let part = |(partition, part): (usize, &factum::Partition)| Part {
        partition,
        position: part.checkpoint.get(),
        events: part.events,
        holder: part.lease.as_ref().map(|(holder, _)| holder.clone()),
        failure: part.failure.as_ref().map(|failure| format!("{}: {}", failure.position, failure.error)),
    };
    let partitions: Vec<Part> = model.partitions.iter().enumerate().map(part).collect();
    let events = partitions.iter().map(|part| part.events).sum();
    let row = row(&model, &context).await?;
    context.output.record(&Shown { row, events, partitions })
}

/// A parked event.
#[derive(Serialize)]
struct ParkedRow {
    position: u64,
    key: String,
    tries: u32,
    parked: String,
    error: String,
}

async fn parked<D: ReadDb>(models: &ReadModels<D>, name: &str, mut context: Context<'_>) -> Result<(), Failure> {
    let name = named(models, name).await?;
    let row = |parked: factum::ParkedEvent| ParkedRow {
        position: parked.position.get(),
        key: parked.key,
        tries: parked.tries,
        parked: parked.parked_at.to_string(),
        error: parked.error,
    };
    context.output.rows(&models.parked(&name).await?.into_iter().map(row).collect::<Vec<_>>())?;
    context.output.finish()
}

impl From<ControlError> for Failure {
    fn from(error: ControlError) -> Self {
        match error {
            ControlError::Store(error) => error.into(),
            ControlError::NotFound(_) | ControlError::NotParked { .. } => {
                Self::not_found(error.to_string()).hint("`factum projection ls` lists the read models that there are")
            }
            ControlError::NotDone(..) => Self::new(Exit::Unavailable, error.to_string()),
            _ => Self::failed(error.to_string()),
        }
    }
}
