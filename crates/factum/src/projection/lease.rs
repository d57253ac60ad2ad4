//! A lease: who fills a partition, for a while, by the database's clock.

use std::time::Duration;

use super::records::{Held, LeaseRecord, PartitionRecord, add, put};
use crate::{ReadDb, ReadModelName, StoreError, Timestamp};

/// A lease that was claimed, and the partition's record as it was then.
pub(crate) struct Lease {
    pub(crate) token: u64,
    pub(crate) partition: Held<PartitionRecord>,
}

/// Which lease.
#[derive(Debug, Clone)]
pub(crate) struct LeaseOf<'a> {
    pub(crate) model: &'a ReadModelName,
    pub(crate) partition: u32,
    pub(crate) holder: &'a str,
    /// Which run of the holder's this is.
    pub(crate) session: &'a str,
    pub(crate) time: Duration,
}

/// From whom a lease is taken before its time is over, beside from oneself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Over {
    Nobody,
    /// From one of the same name: it was this one, before it was started again.
    Namesake,
    Anybody,
}

/// What became of a claim.
pub(crate) enum Claim {
    Claimed(Lease),
    /// Another holds it, and its time is not over.
    Held,
    /// There is no such read model any more.
    Gone,
}

impl LeaseOf<'_> {
    /// Takes the lease if nobody else has it, and says with it how far the partition is: what was known before does not count.
    ///
    /// Its token goes into the partition's record, so that whoever had it before finds another text there, and writes no more.
    pub(crate) async fn claim<D: ReadDb>(&self, db: &D, over: Over) -> Result<Claim, StoreError> {
        let key = self.model.lease_key(self.partition);
        // A look keeps nobody from writing; a transaction may.
        if let Some(held) = Held::committed(db, &key).await?
            && self.waits_for(&held.value, db.now().await?, over)
        {
            return Ok(Claim::Held);
        }
        let mut tx = db.begin(self.model).await?;
        let Some(partition) = Held::<PartitionRecord>::find(db, &mut tx, self.model.partition_key(self.partition)).await? else {
            return Ok(Claim::Gone);
        };
        let now = db.now().await?;
        let (holder, session, token) = (self.holder.to_owned(), self.session.to_owned(), partition.value.token + 1);
        let lease = LeaseRecord { holder, session, token, until: now.later(self.time).as_micros() };
        let written = match Held::<LeaseRecord>::find(db, &mut tx, key.clone()).await? {
            Some(held) if self.waits_for(&held.value, now, over) => return Ok(Claim::Held),
            Some(held) => held.replace(db, &mut tx, &lease).await?,
            None => add(db, &mut tx, &key, &lease).await?,
        };
        let claimed = PartitionRecord { token, ..partition.value.clone() };
        if !written || !partition.replace(db, &mut tx, &claimed).await? {
            return Ok(Claim::Held);
        }
        db.commit(tx).await?;
        Ok(Claim::Claimed(Lease { token, partition: Held::new(partition.key, claimed) }))
    }

    fn waits_for(&self, held: &LeaseRecord, now: Timestamp, over: Over) -> bool {
        let is_own =
            held.session == self.session || over == Over::Anybody || over == Over::Namesake && held.holder == self.holder;
        !is_own && now.as_micros() < held.until
    }

    /// Holds it for as long again; whether it is still held.
    pub(crate) async fn renew<D: ReadDb>(&self, db: &D, token: u64) -> Result<bool, StoreError> {
        let mut tx = db.begin(self.model).await?;
        let Some(held) = self.held(db, &mut tx, token).await? else { return Ok(false) };
        let until = db.now().await?.later(self.time).as_micros();
        let renewed = held.replace(db, &mut tx, &LeaseRecord { until, ..held.value.clone() }).await?;
        db.commit(tx).await?;
        Ok(renewed)
    }

    /// Gives it back, so that another need not wait.
    pub(crate) async fn release<D: ReadDb>(&self, db: &D, token: u64) -> Result<(), StoreError> {
        let mut tx = db.begin(self.model).await?;
        if self.held(db, &mut tx, token).await?.is_some() {
            put(db, &mut tx, &self.model.lease_key(self.partition), None::<&LeaseRecord>).await?;
            db.commit(tx).await?;
        }
        Ok(())
    }

    async fn held<D: ReadDb>(&self, db: &D, tx: &mut D::Tx, token: u64) -> Result<Option<Held<LeaseRecord>>, StoreError> {
        let held = Held::<LeaseRecord>::find(db, tx, self.model.lease_key(self.partition)).await?;
        Ok(held.filter(|held| held.value.token == token))
    }
}
