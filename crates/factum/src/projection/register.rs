//! Registering: a read model gets its records and its empty tables, once.

use super::anchor::{self, Anchor, Found};
use super::failure::{guarded, text};
use super::records::{Failure, Held, ModelRecord, PartitionRecord, Phase, add, live, models_of, put};
use super::runner::StartError;
use crate::{Position, Projection, ReadDb, ReadModelName, Store, StoreError, StoreErrorKind};

/// The read models of a projection, or of all where that is empty, by name, as they are committed.
pub(crate) async fn models<D: ReadDb>(db: &D, projection: &str) -> Result<Vec<(ReadModelName, ModelRecord)>, StoreError> {
    let (mut models, mut after) = (Vec::new(), String::new());
    // From each to the next: there may be much beside the record of one.
    while let Some(record) = db.records(&models_of(projection), &after, 1).await?.pop() {
        let owner = record.key.split('/').next().unwrap_or_default();
        if let Ok(name) = owner.parse::<ReadModelName>()
            && let Some(model) = Held::committed(db, &name.model_key()).await?
        {
            models.push((name, model.value));
        }
        after = format!("{owner}/\u{10ffff}");
    }
    models.sort_by(|(a, _), (b, _)| a.cmp(b));
    Ok(models)
}

/// The live read model of a projection.
pub(crate) async fn live_model<D: ReadDb>(db: &D, projection: &str) -> Result<Option<ReadModelName>, StoreError> {
    let live = Held::<String>::committed(db, &live(projection)).await?;
    Ok(live.and_then(|live| live.value.parse().ok()))
}

/// Sees to it that there is a read model of the projection's version, and that no old failure holds it.
pub(crate) async fn register<P: Projection>(
    projection: &P,
    db: &P::Db,
    log: &impl Store,
    after: Position,
) -> Result<(), StartError> {
    let first = ReadModelName::new(&projection.name(), P::VERSION)?;
    if let Found::Another(Anchor { position, event_id }) = anchor::find(db, log, first.projection()).await? {
        return Err(StartError::AnotherLog { projection: first.projection().to_owned(), position, event_id });
    }
    for _ in 0..TRIES_MAX {
        let live = live_model(db, first.projection()).await?;
        let models = models(db, first.projection()).await?;
        let ours: Vec<_> = models.into_iter().filter(|(name, _)| name.version() == P::VERSION).collect();
        if let Some(live) = live.filter(|live| P::VERSION < live.version() && ours.is_empty()) {
            return Err(StartError::Superseded { live, version: P::VERSION });
        }
        for (name, model) in &ours {
            if model.partitions != P::PARTITIONS.max(1) {
                let (actual, model) = (model.partitions, name.clone());
                return Err(StartError::Partitions { model, expected: P::PARTITIONS, actual });
            }
            clear_failures(db, name, model.partitions).await?;
        }
        if !ours.is_empty() || create(projection, db, &first, after).await? {
            return Ok(());
        }
        // Another process was faster.
    }
    let message = format!("others register and drop {first} all the time: let one of them be");
    Err(StoreError::new(StoreErrorKind::Unavailable, message).into())
}

/// How often a read model is looked for, and made, before that is reported.
const TRIES_MAX: u32 = 10;

/// Makes a read model, with empty tables; live if none of its projection is. `false` where another was faster.
pub(crate) async fn create<P: Projection>(
    projection: &P,
    db: &P::Db,
    name: &ReadModelName,
    after: Position,
) -> Result<bool, StartError> {
    let mut tx = db.begin(name).await?;
    let is_first = db.record(&mut tx, &live(name.projection())).await?.is_none();
    let phase = if is_first { Phase::Live } else { Phase::Filling };
    let partitions = P::PARTITIONS.max(1);
    let model = ModelRecord { phase, partitions, paused: false, events_per_second: None };
    let mut added = add(db, &mut tx, &name.model_key(), &model).await?;
    for partition in 0..partitions {
        let start = after.get();
        let record = PartitionRecord { checkpoint: start, delivered: start, events: 0, token: 0 };
        added &= add(db, &mut tx, &name.partition_key(partition), &record).await?;
    }
    if is_first {
        added &= add(db, &mut tx, &live(name.projection()), &name.to_string()).await?;
    }
    if !added {
        return Ok(false);
    }
    guarded(projection.create(&mut tx)).await.map_err(|error| StartError::Create(text(&error)))?;
    if is_first {
        db.publish(&mut tx).await?;
    }
    db.commit(tx).await?;
    Ok(true)
}

/// A program that is started again may be a mended one.
pub(crate) async fn clear_failures<D: ReadDb>(db: &D, name: &ReadModelName, partitions: u32) -> Result<(), StoreError> {
    for partition in 0..partitions {
        let key = name.failure_key(partition);
        if Held::<Failure>::committed(db, &key).await?.is_some() {
            let mut tx = db.begin(name).await?;
            put(db, &mut tx, &key, None::<&Failure>).await?;
            db.commit(tx).await?;
        }
    }
    Ok(())
}
