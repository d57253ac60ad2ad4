//! What is asked of the one who holds a partition, and how it is done.

use super::failure::{guarded, text};
use super::pass::Due;
use super::records::{Held, ParkedEvent, Request, RequestRecord, all};
use super::worker::{Halt, Session};
use crate::{Position, Projection, Query, Range, Read, ReadDb, RecordedEvent, Store, StreamName, TxOf, partition};

impl<P: Projection> Session<'_, P> {
    /// Does what is asked of this partition, in the order of the requests' keys.
    pub(crate) async fn do_requests(&mut self) -> Result<(), Halt> {
        for record in all(self.db(), &self.name().requests_in(self.partition())).await? {
            let held = Held::<RequestRecord>::of(record)?;
            if held.value.refused.is_some() {
                continue;
            }
            match &held.value.request {
                Request::Retry { position } => self.retry(Position::new(*position)).await?,
                Request::Discard { position } => self.discard(Position::new(*position)).await?,
                Request::RebuildStream { stream } => {
                    if let Err(refused) = self.rebuild_stream(stream).await? {
                        self.answer(&held, Some(refused)).await?;
                        continue;
                    }
                }
            }
            self.answer(&held, None).await?;
        }
        Ok(())
    }

    async fn answer(&self, held: &Held<RequestRecord>, refused: Option<String>) -> Result<(), Halt> {
        let mut tx = self.db().begin(self.name()).await?;
        match refused {
            None => held.remove(self.db(), &mut tx).await?,
            refused => held.replace(self.db(), &mut tx, &RequestRecord { refused, ..held.value.clone() }).await?,
        };
        Ok(self.keep(tx).await?)
    }

    /// Handles what is parked with this event's key, in order, up to the first that fails again.
    async fn retry(&mut self, position: Position) -> Result<(), Halt> {
        let Some(asked) = self.parked_at(position).await? else { return Ok(()) };
        self.retry_key(&asked.key).await
    }

    async fn retry_key(&mut self, key: &str) -> Result<(), Halt> {
        for record in all(self.db(), &self.name().parked_in(self.partition())).await? {
            let held = Held::<ParkedEvent>::of(record)?;
            if held.value.key == key && !self.unpark(&held).await? {
                break;
            }
        }
        Ok(())
    }

    /// Handles a parked event; whether it went well.
    async fn unpark(&mut self, held: &Held<ParkedEvent>) -> Result<bool, Halt> {
        // It is not this projection's any more where there is none: then there is nothing to do for it.
        let due = self.read_due(held.value.position).await?;
        let mut outcome = match &due {
            Some(due) => self.deliver_parked(due).await?,
            None => Ok(()),
        };
        let mut tx = self.db().begin(self.name()).await?;
        if let (Ok(()), Some(Ok(event)), false) = (&outcome, due.as_ref().map(|due| &due.event), held.value.applied) {
            outcome = self.judged(guarded(self.shared().projection.apply(&mut tx, event)).await)?;
        }
        if let Err(error) = outcome {
            drop(tx);
            let mut tx = self.db().begin(self.name()).await?;
            let again = ParkedEvent { error, tries: held.value.tries + 1, ..held.value.clone() };
            held.replace(self.db(), &mut tx, &again).await?;
            self.guard(&mut tx).await?;
            self.keep(tx).await?;
            return Ok(false);
        }
        self.forget(tx, held).await?;
        Ok(true)
    }

    /// A parked event has its effect before its changes commit, as any other.
    async fn deliver_parked(&self, due: &Due<P::Events>) -> Result<Result<(), String>, Halt> {
        match &due.event {
            Ok(event) if P::DELIVERS && self.is_live() => self.deliver_event(event).await,
            Ok(_) => Ok(Ok(())),
            Err(unreadable) => Ok(Err(unreadable.clone())),
        }
    }

    async fn discard(&mut self, position: Position) -> Result<(), Halt> {
        let Some(parked) = self.parked_at(position).await? else { return Ok(()) };
        let tx = self.db().begin(self.name()).await?;
        let key = parked.key.clone();
        let key_of_record = self.name().parked_key(self.partition(), position);
        self.forget(tx, &Held::new(key_of_record, parked)).await?;
        if self.parked.contains_key(&key) { self.retry_key(&key).await } else { Ok(()) }
    }

    /// Takes a parked event away with what the transaction did, if this partition is still held.
    async fn forget(&mut self, mut tx: TxOf<P>, held: &Held<ParkedEvent>) -> Result<(), Halt> {
        self.guard(&mut tx).await?;
        if !held.remove(self.db(), &mut tx).await? {
            return Err(Halt::Fenced);
        }
        self.keep(tx).await?;
        let key = &held.value.key;
        match self.parked.get_mut(key) {
            Some(count) if 1 < *count => *count -= 1,
            _ => drop(self.parked.remove(key)),
        }
        Ok(())
    }

    /// Clears what a stream put into the tables, and applies its events again, in one transaction; or says why not.
    async fn rebuild_stream(&mut self, stream: &StreamName) -> Result<Result<(), String>, Halt> {
        if self.parked.contains_key(stream.as_str()) {
            return Ok(Err(format!("events of {stream} are parked: retry or discard them first")));
        }
        let mut tx = self.db().begin(self.name()).await?;
        if let Err(error) = guarded(self.shared().projection.clear_stream(&mut tx, stream)).await {
            return Ok(Err(text(&error)));
        }
        let mut range = Range::through(self.record.value.checkpoint());
        loop {
            let page = self.shared().store.read(Read::new(Query::stream(stream.clone())).range(range)).await?;
            for event in page.events.into_iter().filter(|event| self.shared().query.selects(event)) {
                if let Err(error) = self.apply_again(&mut tx, event).await? {
                    return Ok(Err(error));
                }
            }
            match page.rest {
                Some(rest) => range = rest,
                None => break,
            }
        }
        self.guard(&mut tx).await?;
        self.keep(tx).await?;
        Ok(Ok(()))
    }

    async fn apply_again(&self, tx: &mut TxOf<P>, event: RecordedEvent) -> Result<Result<(), String>, Halt> {
        let position = event.position;
        let key = self.shared().projection.partition_key(&event);
        if partition::of(&key, self.model.partitions) != self.partition() {
            return Ok(Err(format!("its events are in several partitions ({position} is about {key:?}): make all of it again")));
        }
        let outcome = match self.due(event).map(|due| due.event) {
            Some(Ok(event)) => self.judged(guarded(self.shared().projection.apply(tx, &event)).await)?,
            Some(Err(unreadable)) => Err(unreadable),
            None => Ok(()),
        };
        Ok(outcome.map_err(|error| format!("event {position} failed: {error}")))
    }

    async fn parked_at(&self, position: Position) -> Result<Option<ParkedEvent>, Halt> {
        let key = self.name().parked_key(self.partition(), position);
        Ok(Held::committed(self.db(), &key).await?.map(|held| held.value))
    }

    async fn read_due(&self, position: Position) -> Result<Option<Due<P::Events>>, Halt> {
        let one = Range { after: position.previous(), through: position };
        let page = self.shared().store.read(Read::new(self.shared().query.clone()).range(one).limit(1)).await?;
        Ok(page.events.into_iter().next().and_then(|event| self.due(event)))
    }
}
