//! The dispatcher of a process: its own events become commands, each sent at least once.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use super::failed::{Failed, caught};
use super::timers::effect_id;
use crate::{
    Category, Delivery, Effect, EventId, Group, GroupSettings, HandlerError, Log, Metadata, NameError, Process, Query, Selector,
    TypedEvent,
};

/// A command of a process, on its way: what the handler is given.
///
/// It may come again, after a crash or a failure, with the same id. [`on`](Self::on) makes that harmless where the command is
/// decided in a log; elsewhere the id is the key to send with it.
#[derive(Debug)]
#[non_exhaustive]
pub struct Dispatch<P: Process> {
    /// The id of the effect: the same whenever it is sent.
    pub id: EventId,
    /// What is asked for.
    pub command: P::Command,
    /// The own event that it is an effect of.
    pub cause: TypedEvent<P::Event>,
    /// Which try of this program's it is, counted from 1.
    pub attempt: u32,
}

impl<P: Process> Dispatch<P> {
    /// The metadata of what the command leads to: the own event is its cause.
    pub fn metadata(&self) -> Metadata {
        Metadata::caused_by(&self.cause.recorded)
    }

    /// The log to decide the command in, once, with its [`metadata`](Self::metadata).
    #[must_use]
    pub fn on(&self, log: &Log) -> Log {
        log.with(self.metadata()).once(self.id)
    }
}

/// What is done with commands, whatever type it is of.
pub(crate) type Handler<P> = Arc<dyn Fn(Dispatch<P>) -> Handling + Send + Sync>;
type Handling = Pin<Box<dyn Future<Output = Result<(), HandlerError>> + Send>>;

/// Sends the commands that an own event leads to, in order. A failure of one is a failure of all that come after it, so that the
/// next try begins at the first.
pub(crate) async fn dispatch<P: Process>(handler: Handler<P>, delivery: Delivery) -> Result<(), HandlerError> {
    let Delivery { event, attempt, .. } = delivery;
    for (index, command) in commands::<P>(&event)? {
        let Some(cause) = TypedEvent::of(event.clone())? else { break };
        handler(Dispatch { id: effect_id(event.id, index), command, cause, attempt }).await?;
    }
    Ok(())
}

/// The commands among the effects of an own event, with their places.
fn commands<P: Process>(event: &crate::RecordedEvent) -> Result<Vec<(usize, P::Command)>, Failed> {
    let Some(own) = TypedEvent::<P::Event>::of(event.clone()).map_err(Failed::here)? else { return Ok(Vec::new()) };
    let effects = caught("effects", || P::effects(&own))?.into_iter().enumerate();
    Ok(effects
        .filter_map(|(index, effect)| if let Effect::Send(command) = effect { Some((index, command)) } else { None })
        .collect())
}

/// The group whose members dispatch.
pub(crate) fn group<P: Process>(log: &Log) -> Result<Group, NameError> {
    log.group(&format!("process-{}", P::CATEGORY))
}

pub(crate) fn settings<P: Process>() -> Result<GroupSettings, NameError> {
    Ok(GroupSettings::new(Query::from(Selector::category(Category::new(P::CATEGORY)?))))
}
