//! An anchor: an event by which a projection knows its log again, so that two logs are never read into the same tables.

use serde::{Deserialize, Serialize};

use super::records::{Held, add, position, text};
use super::worker::{Halt, Session};
use crate::{EventId, Position, Projection, Query, Range, Read, ReadDb, Scope, Selector, Store, StoreError, StoreErrorKind};

/// The first event that a read model of the projection was given; written before any change that is made for it.
///
/// A copy of the log has it too, at its position and with its id: there the projection goes on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Anchor {
    #[serde(with = "position")]
    pub(crate) position: Position,
    #[serde(with = "text")]
    pub(crate) event_id: EventId,
}

/// What a log has where a projection's anchor is.
pub(crate) enum Found {
    /// There is no anchor: no event was handled yet.
    NoAnchor,
    /// The anchor, or that it is archived.
    Anchor,
    /// Nothing yet: a standby may be behind.
    Nothing(Anchor),
    /// Another event: it is another log.
    Another(Anchor),
}

/// Looks for a projection's anchor in a log.
pub(crate) async fn find<D: ReadDb>(db: &D, log: &impl Store, projection: &str) -> Result<Found, StoreError> {
    let Some(anchor) = Held::<Anchor>::committed(db, &key(projection)).await? else { return Ok(Found::NoAnchor) };
    let anchor = anchor.value;
    match log.read(Read::new(Selector::from(Scope::Event(anchor.event_id)).into())).await {
        Ok(page) if page.events.iter().any(|event| event.position == anchor.position) => Ok(Found::Anchor),
        Ok(page) if page.events.is_empty() && page.head < anchor.position => Ok(Found::Nothing(anchor)),
        Ok(_) => Ok(Found::Another(anchor)),
        // It was there, and is archived.
        Err(error) if error.kind() == StoreErrorKind::NotFound => Ok(Found::Anchor),
        Err(error) => Err(error),
    }
}

async fn first_after(log: &impl Store, position: Position) -> Result<Option<Anchor>, StoreError> {
    let page = log.read(Read::new(Query::all()).range(Range::after(position)).limit(1)).await?;
    Ok(page.events.first().map(|event| Anchor { position: event.position, event_id: event.id }))
}

/// That the log at hand is not the projection's.
pub(crate) fn another_log(projection: &str, position: Position, event_id: EventId) -> String {
    format!(
        "{projection} is made from another log, with the event {event_id} at {position}: \
         give the projection a name of its own for each log, or a database"
    )
}

impl<P: Projection> Session<'_, P> {
    /// Drops the anchor, where the projection has none, at the first event that it is about to be given.
    pub(crate) async fn anchor(&mut self) -> Result<(), Halt> {
        if self.is_anchored {
            return Ok(());
        }
        let first = first_after(&self.shared().store, self.record.value.checkpoint()).await?.ok_or(Halt::Fenced)?;
        let mut tx = self.db().begin(self.name()).await?;
        if !add(self.db(), &mut tx, &key(self.name().projection()), &first).await? {
            // Another worker was faster, perhaps one of another log: the next claim looks at what it wrote.
            return Err(Halt::Fenced);
        }
        self.keep(tx).await?;
        self.is_anchored = true;
        Ok(())
    }
}

fn key(projection: &str) -> String {
    format!("{projection}/anchor")
}
