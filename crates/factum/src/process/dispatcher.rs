//! The dispatcher: the commands that the events of a process lead to are sent, at least once.

use std::future::Future;
use std::marker::PhantomData;

use super::{Effect, Process};
use crate::{Delivery, EventId, HandlerError, Log, Metadata, RecordedEvent};

/// What a command comes of.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Cause {
    /// The command's id: the same each time that it is sent. `log.once(cause.id)` makes what it decides happen once.
    pub id: EventId,
    /// The process's event that it comes of.
    pub event: RecordedEvent,
    /// Which try this is, counted from 1.
    pub attempt: u32,
}

impl Cause {
    /// The log, for what the command decides: recorded once, however often it is sent, and with its cause.
    pub fn log(&self, log: &Log) -> Log {
        log.once(self.id).with(Metadata::caused_by(&self.event))
    }
}

/// Sends the commands of one event, in their order.
pub(crate) struct Dispatcher<P, H> {
    handler: H,
    process: PhantomData<fn(P)>,
}

impl<P, H, F> Dispatcher<P, H>
where
    P: Process,
    H: Fn(P::Command, Cause) -> F,
    F: Future<Output = Result<(), HandlerError>>,
{
    pub(crate) fn new(handler: H) -> Self {
        Self { handler, process: PhantomData }
    }

    pub(crate) async fn dispatch(&self, delivery: Delivery) -> Result<(), HandlerError> {
        let Delivery { event, attempt, .. } = delivery;
        let Some(data) = event.decode::<P::Event>()? else { return Ok(()) };
        let id = event.stream.as_str().get(P::CATEGORY.len() + 1..).unwrap_or_default();
        for (number, effect) in P::effects(id, &data).into_iter().enumerate() {
            if let Effect::Send(command) = effect {
                let cause = Cause { id: event.id.numbered(number), event: event.clone(), attempt };
                (self.handler)(command, cause).await?;
            }
        }
        Ok(())
    }
}
