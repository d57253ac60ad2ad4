//! Verifying: a receiver finds out whether a delivery is from whom it shares a secret with.

use std::time::Duration;

use factum::Timestamp;
use http::HeaderMap;

use super::{ID, SIGNATURE, Secret, TIMESTAMP, seconds};

/// How far the time of a delivery may be from the receiver's clock, as is usual.
pub const TOLERANCE: Duration = Duration::from_secs(5 * 60);

/// Why a delivery is not to be trusted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyError {
    /// It is no delivery of a webhook.
    #[error("the header `{0}` is missing, or is not text")]
    Missing(&'static str),
    /// Its time is no number.
    #[error("the header `{TIMESTAMP}` is not a number of seconds")]
    Timestamp,
    /// It is from another time: somebody may have kept it, or a clock goes wrong.
    #[error("it is {seconds} seconds away from this clock, and may be {tolerance:?}: refuse it, and check the clocks")]
    Stale {
        /// How far it is away.
        seconds: u64,
        /// How far it may be.
        tolerance: Duration,
    },
    /// Nobody who has the secret sent it like that.
    #[error("none of its signatures is this secret's: refuse it; if all are like that, compare the secrets")]
    Forged,
}

/// Checks that a delivery was signed with this secret, and not longer ago than `tolerance`, such as [`TOLERANCE`]. The body is to
/// be as it was received, byte for byte.
///
/// Within that time it may be a repeat: remember the `webhook-id` of each that was handled, which is the event's id.
///
/// # Errors
/// [`VerifyError`] says why it is not to be trusted: answer 401 then.
pub fn verify(headers: &HeaderMap, body: &[u8], secret: &Secret, tolerance: Duration) -> Result<(), VerifyError> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok()).ok_or(VerifyError::Missing(name));
    let (id, timestamp, signatures) = (text(ID)?, text(TIMESTAMP)?, text(SIGNATURE)?);
    let sent: i64 = timestamp.parse().map_err(|_| VerifyError::Timestamp)?;
    if !secret.signed(signatures, id, timestamp, body) {
        return Err(VerifyError::Forged);
    }
    let seconds = seconds(Timestamp::now()).abs_diff(sent);
    if tolerance < Duration::from_secs(seconds) {
        return Err(VerifyError::Stale { seconds, tolerance });
    }
    Ok(())
}
