//! A hold: for a while, a receiver is asked nothing.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use factum::Timestamp;
use http::{HeaderMap, StatusCode, header};
use tokio::time::Instant;

/// The longest time that a receiver is left alone for when its `Retry-After` asks for that.
pub const HOLD_MAX: Duration = Duration::from_secs(10 * 60);

/// Until when, and what the receiver answered; once that is over, it is nothing.
#[derive(Default)]
pub(crate) struct Hold(Mutex<Option<(StatusCode, Instant)>>);

impl Hold {
    /// For how long still, and why.
    pub(crate) fn left(&self) -> Option<(StatusCode, Duration)> {
        let (status, until) = (*self.held())?;
        let left = until.saturating_duration_since(Instant::now());
        (!left.is_zero()).then_some((status, left))
    }

    /// Holds for as long as an answer's `Retry-After` asks for: how long that is.
    pub(crate) fn hold(&self, status: StatusCode, headers: &HeaderMap) -> Duration {
        let text = headers.get(header::RETRY_AFTER).and_then(|value| value.to_str().ok());
        let time = text.and_then(|text| retry_after(text, Timestamp::now())).unwrap_or_default().min(HOLD_MAX);
        *self.held() = Some((status, Instant::now() + time));
        time
    }

    fn held(&self) -> MutexGuard<'_, Option<(StatusCode, Instant)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A number of seconds, or the date when it is over (RFC 9110).
fn retry_after(text: &str, now: Timestamp) -> Option<Duration> {
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = jiff::fmt::rfc2822::parse(text).ok()?.timestamp();
    Some(Duration::from_micros(u64::try_from(date.as_microsecond() - now.as_micros()).unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use factum::Timestamp;

    use super::retry_after;

    #[test]
    fn a_wait_is_a_number_of_seconds_or_a_date() {
        let now: Timestamp = "2026-11-23T09:30:00Z".parse().unwrap();
        for (text, seconds) in [
            ("0", Some(0)),
            ("120", Some(120)),
            ("Mon, 23 Nov 2026 09:30:07 GMT", Some(7)),
            ("Mon, 23 Nov 2026 09:29:00 GMT", Some(0)),
            ("-1", None),
            ("soon", None),
            ("", None),
            ("99999999999999999999999", None),
        ] {
            assert_eq!(retry_after(text, now), seconds.map(Duration::from_secs), "{text:?}");
        }
    }
}
