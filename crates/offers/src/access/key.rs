//! API keys: 256 random bits, of which the store keeps a digest only.

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

use crate::access::token::TokenDigest;

/// The secret by which a program is recognized. `Debug` does not show it.
///
/// ```
/// use codemint_offers::access::key::ApiKey;
///
/// let key = ApiKey::new([7; ApiKey::LENGTH_BYTES]);
/// let sent: ApiKey = key.text().parse().expect("a key");
/// assert!(sent.digest().matches(&key.digest()));
/// assert_eq!(format!("{key:?}"), "ApiKey(secret)");
/// ```
#[derive(Clone)]
pub struct ApiKey([u8; ApiKey::LENGTH_BYTES]);

/// The SHA-256 of a key. Nobody can guess 256 random bits, so a salt or a slow digest would protect nothing more. `Debug`
/// does not show it.
pub type KeyDigest = TokenDigest;

/// A text that is not a key. It is not repeated: it may be almost one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an API key is {} and {} characters of A-Z, a-z, 0-9, - and _", ApiKey::PREFIX, ApiKey::TEXT_LENGTH - ApiKey::PREFIX.len())]
pub struct NotAKey;

impl ApiKey {
    pub const LENGTH_BYTES: usize = 32;

    /// The beginning of each key, by which people and scanners recognize one that has leaked.
    pub const PREFIX: &str = "cm_";

    /// The length of each key as a text, in bytes: the prefix and base64url without padding.
    pub const TEXT_LENGTH: usize = Self::PREFIX.len() + 43;

    /// Makes a key of random bytes that nobody knows.
    pub const fn new(bytes: [u8; Self::LENGTH_BYTES]) -> Self {
        Self(bytes)
    }

    /// Returns what a client sends. It is shown once, when the key is created.
    pub fn text(&self) -> String {
        format!("{}{}", Self::PREFIX, URL_SAFE_NO_PAD.encode(self.0))
    }

    pub fn digest(&self) -> KeyDigest {
        TokenDigest::new(Sha256::digest(self.0).into())
    }
}

/// Reads what a client sends: exactly one text is a given key.
impl FromStr for ApiKey {
    type Err = NotAKey;

    fn from_str(text: &str) -> Result<Self, NotAKey> {
        if text.len() != Self::TEXT_LENGTH {
            return Err(NotAKey);
        }
        let encoded = text.strip_prefix(Self::PREFIX).ok_or(NotAKey)?;
        let bytes = URL_SAFE_NO_PAD.decode(encoded).map_err(|_where| NotAKey)?;
        Ok(Self(bytes.try_into().map_err(|_length| NotAKey)?))
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ApiKey(secret)")
    }
}
