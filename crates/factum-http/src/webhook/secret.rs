//! A secret: what a sender and a receiver share, and sign with.

use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

const PREFIX: &str = "whsec_";
/// The signature of a secret, as opposed to one of a key pair.
const SCHEME: &str = "v1,";

/// A secret of a webhook: it is read from `whsec_` and 24 to 64 bytes in Base64, and never shown.
///
/// ```
/// # use factum_http::{Secret, SecretError};
/// let secret: Secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".parse()?;
/// assert_eq!(format!("{secret:?}"), "Secret(…)");
/// # Ok::<(), SecretError>(())
/// ```
#[derive(Clone)]
pub struct Secret(Hmac<Sha256>);

/// Why a text is no secret. It does not say what the text was.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SecretError {
    /// It does not begin as secrets do.
    #[error("the secret of a webhook begins with {PREFIX}: {ADVICE}")]
    Prefix,
    /// The rest of it is no Base64.
    #[error("what follows {PREFIX} in the secret of a webhook is not Base64 (RFC 4648): {ADVICE}")]
    Base64,
    /// It can be guessed, or is too long.
    #[error("the secret of a webhook has {0} bytes, and not 24 to 64: {ADVICE}")]
    Length(usize),
}

const ADVICE: &str = "make one with `echo whsec_$(openssl rand -base64 32)`";

impl Secret {
    /// How many bytes one has.
    pub const BYTES: RangeInclusive<usize> = 24..=64;

    /// The signature of a delivery, as it stands in its header.
    pub(crate) fn sign(&self, id: &str, seconds: i64, body: &[u8]) -> String {
        format!("{SCHEME}{}", BASE64_STANDARD.encode(self.mac(id, &seconds.to_string(), body).finalize().into_bytes()))
    }

    /// Whether one of the signatures in a header is this secret's. Compared in constant time.
    pub(crate) fn signed(&self, signatures: &str, id: &str, seconds: &str, body: &[u8]) -> bool {
        let mac = self.mac(id, seconds, body);
        let signatures =
            signatures.split(' ').filter_map(|signature| BASE64_STANDARD.decode(signature.strip_prefix(SCHEME)?).ok());
        signatures.into_iter().any(|signature| mac.clone().verify_slice(&signature).is_ok())
    }

    fn mac(&self, id: &str, seconds: &str, body: &[u8]) -> Hmac<Sha256> {
        let head = format!("{id}.{seconds}.");
        self.0.clone().chain_update(head).chain_update(body)
    }
}

impl FromStr for Secret {
    type Err = SecretError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let key = BASE64_STANDARD.decode(text.strip_prefix(PREFIX).ok_or(SecretError::Prefix)?);
        let key = key.map_err(|_| SecretError::Base64)?;
        match Hmac::new_from_slice(&key) {
            Ok(mac) if Self::BYTES.contains(&key.len()) => Ok(Self(mac)),
            _ => Err(SecretError::Length(key.len())),
        }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}
