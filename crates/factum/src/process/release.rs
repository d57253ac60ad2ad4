//! Release: the inputs that waited in quarantine are handled, up to where all others are.

use super::failed::Failed;
use super::reactor::Halt;
use super::session::{Session, addressed};
use crate::{Position, Process, Range, RecordedEvent, Store, StreamName};

impl<P: Process> Session<'_, P> {
    /// Handles what waits in a stream or for an instance, in order; the first that fails puts it back into quarantine.
    ///
    /// Then nothing waits, as far as this program knows. That is written down with the next inputs that it handles: should
    /// another have handled inputs in the meantime, and left these out, then it is not.
    pub(crate) async fn catch_up(&mut self, held: &StreamName) -> Result<(), Halt> {
        self.record().await?;
        let Some(hold) = self.journal.holds.get(held).filter(|hold| !hold.caught_up) else { return Ok(()) };
        let mut range = Range { after: Position::new(hold.through), through: self.handled };
        self.advancing = Some((held.clone(), range.after));
        while !range.is_empty() {
            let page = self.store().read(self.inputs_in(range)).await?;
            let through = page.through(range);
            for event in page.events {
                let position = event.position;
                self.input_of(held, event).await?;
                if !self.is_released(held) {
                    self.advancing = None;
                    return self.record().await;
                }
                self.advancing = Some((held.clone(), position));
                if self.turn.is_full() {
                    self.record().await?;
                }
            }
            self.advancing = Some((held.clone(), through));
            range = page.rest.unwrap_or(Range { after: range.through, ..range });
        }
        self.record().await?;
        self.advancing = None;
        if !self.is_released(held) {
            return self.record().await;
        }
        self.journal.holds.caught_up(held);
        if StreamName::category_of(held) == P::CATEGORY {
            match self.instance(held).await {
                Ok(_) => self.index(held),
                Err(failed) => self.hold(held, None, failed)?,
            }
        }
        Ok(())
    }

    fn is_released(&self, held: &StreamName) -> bool {
        self.journal.holds.get(held).is_some_and(|hold| hold.released)
    }

    /// One input that may be among those that wait.
    async fn input_of(&mut self, held: &StreamName, event: RecordedEvent) -> Result<(), Halt> {
        let (source, position) = (event.stream.clone(), event.position);
        if source.is_system() || StreamName::category_of(&source) == P::CATEGORY {
            return Ok(());
        }
        let waits_from = |stream: &StreamName| {
            let hold = self.journal.holds.get(stream).filter(|hold| !hold.caught_up);
            hold.map(|hold| Position::new(hold.through))
        };
        let of_source = source == *held;
        if !of_source && waits_from(&source).is_some_and(|through| through < position) {
            return Ok(()); // It waits with the others of its stream.
        }
        match addressed::<P>(event) {
            Ok(Some((stream, input))) if stream == *held => self.react(stream, &input).await,
            Ok(Some((stream, input))) if of_source => match waits_from(&stream) {
                None => self.react(stream, &input).await,
                Some(through) if through < position => Ok(()), // It waits with the others for its instance.
                Some(_) => self.hold(held, Some(position), Failed::Here(format!("{stream}, which it is for, is in quarantine"))),
            },
            Ok(_) => Ok(()),
            Err(failed) if of_source => self.hold(held, Some(position), failed),
            Err(_) => Ok(()),
        }
    }
}
