//! A swap: a read model that was filled beside the live one takes its place, in one transaction.

use std::time::Duration;

use tokio::time::Instant;

use super::lease::{Claim, LeaseOf, Over};
use super::records::{Held, ModelRecord, ParkedEvent, PartitionRecord, Phase, add, all, live};
use super::register::live_model;
use crate::{Position, ReadDb, ReadModelName, StoreError, partition};

/// The longest that the live read model is held so that another can get past it; while it is held, it is queried as ever.
const HOLD: Duration = Duration::from_secs(2);
/// How often it is looked whether the other one has.
const LOOK: Duration = Duration::from_millis(3);

/// Swaps a read model in where what comes in keeps it from getting past the live one: that one is held until it has.
pub(crate) async fn swap_while_held<D: ReadDb>(db: &D, next: &ReadModelName, delivers: bool) -> Result<bool, StoreError> {
    let Some(former) = live_model(db, next.projection()).await? else { return Ok(false) };
    let Some(model) = Held::<ModelRecord>::committed(db, &former.model_key()).await? else { return Ok(false) };
    let holder = format!("the swap to {next}");
    let lease = |partition| LeaseOf { model: &former, partition, holder: &holder, session: &holder, time: HOLD };
    let mut held = Vec::new();
    for partition in 0..model.value.partitions {
        // Whoever filled it finds that another holds it, and stands by.
        if let Claim::Claimed(claimed) = lease(partition).claim(db, Over::Anybody).await? {
            held.push((partition, claimed.token));
        }
    }
    let deadline = Instant::now() + HOLD / 2;
    let mut swapped = Ok(false);
    while matches!(swapped, Ok(false)) && Instant::now() < deadline {
        tokio::time::sleep(LOOK).await;
        swapped = swap(db, next, delivers).await;
    }
    for (partition, token) in held {
        lease(partition).release(db, token).await?;
    }
    swapped
}

/// The partitions of a read model, as a transaction sees them.
struct Partitions(Vec<Held<PartitionRecord>>);

impl Partitions {
    async fn of<D: ReadDb>(db: &D, tx: &mut D::Tx, model: &ReadModelName, count: u32) -> Result<Self, StoreError> {
        let mut partitions = Vec::new();
        for partition in 0..count {
            partitions.extend(Held::find(db, tx, model.partition_key(partition)).await?);
        }
        Ok(Self(partitions))
    }

    fn checkpoints(&self) -> impl Iterator<Item = Position> {
        self.0.iter().map(|partition| partition.value.checkpoint())
    }

    /// How far the effects of a partition are, if there are as many of them; otherwise the same keys are in other ones, and
    /// what is sure is how far all of them are.
    fn delivered(&self, partition: usize, partitions: usize) -> u64 {
        let delivered = |partition: &Held<PartitionRecord>| partition.value.delivered;
        match self.0.get(partition) {
            Some(same) if self.0.len() == partitions => delivered(same),
            _ => self.0.iter().map(delivered).min().unwrap_or_default(),
        }
    }
}

/// Makes a filled read model the live one, unless the live one is ahead of it: what is queried never goes back. Whether it did.
///
/// The effects outside go on where the former one's stand, and what it had parked for their sake is parked in the new one.
pub(crate) async fn swap<D: ReadDb>(db: &D, next: &ReadModelName, delivers: bool) -> Result<bool, StoreError> {
    let mut tx = db.begin(next).await?;
    let live = Held::<String>::find(db, &mut tx, live(next.projection())).await?;
    let model = Held::<ModelRecord>::find(db, &mut tx, next.model_key()).await?;
    let (Some(live), Some(model)) = (live, model) else { return Ok(false) };
    let Ok(former) = live.value.parse::<ReadModelName>() else { return Ok(false) };
    let Some(retired) = Held::<ModelRecord>::find(db, &mut tx, former.model_key()).await? else { return Ok(false) };
    let filled = Partitions::of(db, &mut tx, next, model.value.partitions).await?;
    let queried = Partitions::of(db, &mut tx, &former, retired.value.partitions).await?;
    // A query may have seen all that any partition of the live one has.
    if model.value.phase != Phase::Filling || *next <= former || filled.checkpoints().min() < queried.checkpoints().max() {
        return Ok(false);
    }
    let mut whole = model.replace(db, &mut tx, &ModelRecord { phase: Phase::Live, ..model.value.clone() }).await?;
    whole &= retired.replace(db, &mut tx, &ModelRecord { phase: Phase::Retired, ..retired.value.clone() }).await?;
    whole &= live.replace(db, &mut tx, &next.to_string()).await?;
    for partition in &queried.0 {
        // Written as it is: it cannot move on before this commits.
        whole &= partition.replace(db, &mut tx, &partition.value).await?;
    }
    for (number, partition) in filled.0.iter().enumerate() {
        let delivered = if delivers { queried.delivered(number, filled.0.len()) } else { partition.value.checkpoint };
        // With another token, whoever fills it reads all of it again: that it is live, and what is parked.
        let token = partition.value.token + 1;
        whole &= partition.replace(db, &mut tx, &PartitionRecord { delivered, token, ..partition.value.clone() }).await?;
    }
    if delivers {
        take_over_parked(db, &mut tx, (&former, retired.value.partitions), (next, model.value.partitions)).await?;
    }
    if !whole {
        return Ok(false);
    }
    db.publish(&mut tx).await?;
    db.commit(tx).await?;
    Ok(true)
}

/// What is parked waits for its effect still, in the partition that it belongs to now. Its changes were made while filling.
async fn take_over_parked<D: ReadDb>(
    db: &D,
    tx: &mut D::Tx,
    (former, partitions): (&ReadModelName, u32),
    (next, next_partitions): (&ReadModelName, u32),
) -> Result<(), StoreError> {
    for number in 0..partitions {
        for record in all(db, &former.parked_in(number)).await? {
            let parked = Held::<ParkedEvent>::of(record)?.value;
            let partition = partition::of(&parked.key, next_partitions);
            let key = next.parked_key(partition, parked.position);
            // Where it failed while filling too, it is there already.
            add(db, tx, &key, &ParkedEvent { partition, applied: true, ..parked }).await?;
        }
    }
    Ok(())
}
