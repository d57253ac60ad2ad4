//! The effects that a former read model left undone: its successor has them, without applying the events again.

use std::pin::pin;

use super::failure::{OnFailure, guarded};
use super::pass::Due;
use super::records::{ParkedEvent, PartitionRecord};
use super::status::Activity;
use super::worker::{Halt, Session};
use crate::{Position, Projection, Range, Read, ReadDb, Store, TypedEvent};

impl<P: Projection> Session<'_, P> {
    /// Delivers what lies between the mark of the effects and the checkpoint: at a swap, nothing is left out.
    pub(crate) async fn deliver_what_was_left(&mut self) -> Result<(), Halt> {
        while P::DELIVERS && self.is_live() && self.record.value.delivered < self.record.value.checkpoint {
            let range = Range { after: self.record.value.delivered(), through: self.record.value.checkpoint() };
            let read = Read::new(self.shared().query.clone()).range(range).limit(self.shared().options.batch);
            let page = self.shared().store.read(read).await?;
            let through = page.through(range);
            for due in page.events.into_iter().filter_map(|event| self.due(event)).collect::<Vec<_>>() {
                self.attend().await?;
                self.deliver_left(&due).await?;
            }
            self.mark(through, None).await?;
        }
        Ok(())
    }

    /// One effect. It may take long: the lease is renewed meanwhile, and where it is lost, the effect is given up.
    pub(crate) async fn deliver_event(&self, event: &TypedEvent<P::Events>) -> Result<Result<(), String>, Halt> {
        let mut effect = pin!(guarded(self.shared().projection.deliver(event)));
        loop {
            match tokio::time::timeout(self.shared().options.lease / 3, effect.as_mut()).await {
                Ok(outcome) => return self.judged(outcome),
                Err(_takes_long) => self.renew().await?,
            }
        }
    }

    async fn deliver_left(&mut self, due: &Due<P::Events>) -> Result<(), Halt> {
        if self.parked.contains_key(&due.key) {
            return self.mark(due.position, Some(self.behind(due).await?)).await;
        }
        let Ok(event) = &due.event else { return Ok(()) };
        let policy = self.shared().options.on_failure;
        let mut tries = 0;
        loop {
            let Err(error) = self.deliver_event(event).await? else { return self.mark(due.position, None).await };
            tries += 1;
            let failure = self.failure(due, &error, tries).await?;
            match policy.backoff().after(tries) {
                Some(wait) => {
                    self.show(Activity::Retrying(failure), Some(event.recorded_at));
                    self.wait(wait).await?;
                }
                None if matches!(policy, OnFailure::Park(_)) => {
                    return self.mark(due.position, Some(self.parked_event(due, error, tries).await?)).await;
                }
                None => return Err(self.stop(failure).await),
            }
        }
    }

    /// Everything up to here has had its effects, but what is parked.
    async fn mark(&mut self, delivered: Position, parked: Option<ParkedEvent>) -> Result<(), Halt> {
        let mut tx = self.db().begin(self.name()).await?;
        if let Some(parked) = &parked {
            self.park(&mut tx, &ParkedEvent { applied: true, ..parked.clone() }).await?;
        }
        let next = PartitionRecord { delivered: delivered.get(), ..self.record.value.clone() };
        self.advance(&mut tx, next.clone()).await?;
        self.commit(tx, next).await?;
        if let Some(parked) = parked {
            *self.parked.entry(parked.key).or_default() += 1;
        }
        Ok(())
    }
}
