//! What a runner does about an event that cannot be handled.

use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::task::Poll;

use crate::{Backoff, HandlerError};

/// What a runner does about an event that [`apply`](crate::Projection::apply) or [`deliver`](crate::Projection::deliver) refuses,
/// or that cannot be read. A failure of the database, and one that is [`Unavailable`], is none of these: it is tried again until
/// it is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum OnFailure {
    /// Its partition stops in front of it, and says why, until it is resumed or started again.
    #[default]
    Stop,
    /// It is tried again, in its place: its partition waits. After the last try it stops.
    Retry(Backoff),
    /// It is tried again, in its place; after the last try it is set aside, with every later event of its key. All others go on.
    Park(Backoff),
}

impl OnFailure {
    pub(crate) fn backoff(self) -> Backoff {
        match self {
            Self::Stop => Backoff::NEVER,
            Self::Retry(backoff) | Self::Park(backoff) => backoff,
        }
    }
}

/// A failure that is no event's fault: what it is handed to cannot be reached, or asks to be left alone for a while. Nothing is
/// parked for it: everything waits in its place, and is tried again until it is over.
///
/// ```
/// # use factum::{HandlerError, Unavailable};
/// fn greeted(answer: Result<(), std::io::Error>) -> Result<(), HandlerError> {
///     Ok(answer.map_err(Unavailable::new)?)
/// }
/// ```
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct Unavailable(HandlerError);

impl Unavailable {
    /// For this reason.
    pub fn new(reason: impl Into<HandlerError>) -> Self {
        Self(reason.into())
    }
}

/// Runs a handler; a panic in it is a failure of the event like any other.
pub async fn guarded(handler: impl Future<Output = Result<(), HandlerError>>) -> Result<(), HandlerError> {
    let mut handler = pin!(handler);
    std::future::poll_fn(|context| {
        // What a panic leaves half-done is the transaction, which is dropped with it.
        caught(|| handler.as_mut().poll(context)).unwrap_or_else(|panicked| Poll::Ready(Err(panicked.into())))
    })
    .await
}

/// Runs a part of a projection that is no handler; a panic in it is told.
pub(crate) fn caught<T>(part: impl FnOnce() -> T) -> Result<T, String> {
    std::panic::catch_unwind(AssertUnwindSafe(part)).map_err(|panic| format!("it panicked: {}", message(&*panic)))
}

pub(crate) fn message(panic: &(dyn std::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("without a message")
}

/// The text of an error, with its causes.
pub(crate) fn text(error: &HandlerError) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
