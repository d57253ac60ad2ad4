//! A delivery that failed.

use std::time::Duration;

use http::StatusCode;
use reqwest::Response;

/// How much of a refusal is read, in bytes: enough to say why.
pub const ANSWER_BYTES_MAX: usize = 256;

/// Why an event was not delivered. It names the receiver, without the parts of its URL that may be secret.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DeliveryError {
    /// There is no connection to the receiver: all events wait until there is.
    #[error("cannot connect to {to}")]
    Unreachable {
        /// The receiver.
        to: String,
        /// Why.
        source: reqwest::Error,
    },
    /// The receiver asks to be left alone: all events wait.
    #[error("{to} answered {status}, and is left alone for {} s", wait.as_secs())]
    Busy {
        /// The receiver.
        to: String,
        /// What it answered last.
        status: StatusCode,
        /// For how long still.
        wait: Duration,
    },
    /// It took the event, and did not answer in time.
    #[error("{to} did not answer within {timeout:?}: let it answer before it works, or give it more time")]
    TimedOut {
        /// The receiver.
        to: String,
        /// How long that is.
        timeout: Duration,
    },
    /// The connection ended before there was an answer.
    #[error("{to} did not answer")]
    Broken {
        /// The receiver.
        to: String,
        /// Why.
        source: reqwest::Error,
    },
    /// The receiver is elsewhere, and redirects are not followed.
    #[error("{to} answered {status}, and redirects are not followed: give the webhook the URL that it leads to")]
    Moved {
        /// The receiver.
        to: String,
        /// What it answered.
        status: StatusCode,
    },
    /// The receiver wants no events any more.
    #[error("{to} answered 410 Gone: it wants no more events; end this webhook")]
    Gone {
        /// The receiver.
        to: String,
    },
    /// The receiver does not take this event.
    #[error("{to} answered {status}: {answer:?}")]
    Refused {
        /// The receiver.
        to: String,
        /// What it answered.
        status: StatusCode,
        /// The beginning of what it said about that.
        answer: String,
    },
}

impl DeliveryError {
    /// Whether it is no matter of one event: then trying others would fail too, and this one is not to be set aside.
    pub(crate) fn is_of_all_events(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::Busy { .. })
    }

    /// There was no answer.
    pub(crate) fn unanswered(to: &str, timeout: Duration, error: reqwest::Error) -> Self {
        let (to, source) = (to.to_owned(), error.without_url());
        match () {
            () if source.is_connect() => Self::Unreachable { to, source },
            () if source.is_timeout() => Self::TimedOut { to, timeout },
            () => Self::Broken { to, source },
        }
    }
}

/// The beginning of a response's body; what does not come in time is left out.
pub(crate) async fn answer(mut response: Response) -> String {
    let mut answer = Vec::new();
    while let Ok(Some(chunk)) = response.chunk().await {
        answer.extend_from_slice(&chunk[..chunk.len().min(ANSWER_BYTES_MAX - answer.len())]);
        if answer.len() == ANSWER_BYTES_MAX {
            break;
        }
    }
    String::from_utf8_lossy(&answer).into_owned()
}
