//! Registering: a read model gets its records and its empty tables, once.

use super::failure::text;
use super::records::{Failure, Held, ModelRecord, PartitionRecord, Phase, add, all, live, models_of, put};
use super::runner::StartError;
use crate::{Position, Projection, ReadDb, ReadModelName, StoreError};

/// The read models of a projection, or of all where that is empty, by name, as they are committed.
pub(crate) async fn models<D: ReadDb>(db: &D, projection: &str) -> Result<Vec<(ReadModelName, ModelRecord)>, StoreError> {
    let mut models = Vec::new();
    for record in all(db, &models_of(projection)).await? {
        let name = record.key.strip_suffix("/model").map(str::parse::<ReadModelName>);
        if let Some(Ok(name)) = name {
            models.push((name, Held::of(record)?.value));
        }
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
pub(crate) async fn register<P: Projection>(projection: &P, db: &P::Db, after: Position) -> Result<(), StartError> {
    let first = ReadModelName::new(&projection.name(), P::VERSION)?;
    loop {
        let live = live_model(db, first.projection()).await?;
        if let Some(live) = live.as_ref().filter(|live| P::VERSION < live.version()) {
            return Err(StartError::Superseded { live: live.clone(), version: P::VERSION });
        }
        let models = models(db, first.projection()).await?;
        let ours: Vec<_> = models.into_iter().filter(|(name, _)| name.version() == P::VERSION).collect();
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
}

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
    projection.create(&mut tx).await.map_err(|error| StartError::Create(text(&error)))?;
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
