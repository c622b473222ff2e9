//! Tokens: 256 random bits that stand for a session or an invitation, and of which the store keeps a digest only.

use std::fmt;
use std::marker::PhantomData;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// What tokens of a kind are for.
pub trait Purpose {
    /// The name of the tokens, for `Debug`.
    const NAME: &'static str;
    /// What is digested before the bits: no digest of one kind is one of another.
    const DOMAIN: &'static str;
}

/// A token. `Debug` does not show it.
pub struct Token<P>(Zeroizing<[u8; TOKEN_LENGTH_BYTES]>, PhantomData<fn() -> P>);

pub const TOKEN_LENGTH_BYTES: usize = 32;

/// The length of each token as a text, in bytes: base64url without padding.
pub const TOKEN_TEXT_LENGTH: usize = 43;

/// The SHA-256 of a token, as the store has it. `Debug` does not show it.
#[derive(Clone, Copy)]
pub struct TokenDigest([u8; TokenDigest::LENGTH_BYTES]);

/// A text that is not a token. It is not repeated: it may be almost one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a token is {TOKEN_TEXT_LENGTH} characters of A-Z, a-z, 0-9, - and _")]
pub struct NotAToken;

impl<P: Purpose> Token<P> {
    /// Makes a token of random bytes that nobody knows.
    pub fn new(bytes: [u8; TOKEN_LENGTH_BYTES]) -> Self {
        Self(Zeroizing::new(bytes), PhantomData)
    }

    /// Returns what a browser sends.
    pub fn text(&self) -> String {
        URL_SAFE_NO_PAD.encode(*self.0)
    }

    pub fn digest(&self) -> TokenDigest {
        TokenDigest(self.derived(P::DOMAIN))
    }

    /// Returns a digest for another purpose, from which neither the token nor its digest follows.
    pub(crate) fn derived(&self, domain: &str) -> [u8; TokenDigest::LENGTH_BYTES] {
        // The end of the domain is marked, and the bits have a fixed length: no two inputs are the same text.
        Sha256::new().chain_update(domain).chain_update([0]).chain_update(*self.0).finalize().into()
    }
}

impl<P> Clone for Token<P> {
    fn clone(&self) -> Self {
        Self(self.0.clone(), PhantomData)
    }
}

/// Reads what a browser sends: exactly one text is a given token.
impl<P: Purpose> FromStr for Token<P> {
    type Err = NotAToken;

    fn from_str(text: &str) -> Result<Self, NotAToken> {
        if text.len() != TOKEN_TEXT_LENGTH {
            return Err(NotAToken);
        }
        let bytes = Zeroizing::new(URL_SAFE_NO_PAD.decode(text).map_err(|_where| NotAToken)?);
        Ok(Self::new(bytes.as_slice().try_into().map_err(|_length| NotAToken)?))
    }
}

impl<P: Purpose> fmt::Debug for Token<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}(secret)", P::NAME)
    }
}

impl TokenDigest {
    pub const LENGTH_BYTES: usize = 32;

    pub(super) const fn new(digest: [u8; Self::LENGTH_BYTES]) -> Self {
        Self(digest)
    }

    /// Returns `None` unless there are [`Self::LENGTH_BYTES`] bytes.
    pub fn of_stored(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// Compares in constant time: how long it takes depends on neither digest.
    pub fn matches(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }

    pub const fn as_bytes(&self) -> &[u8; Self::LENGTH_BYTES] {
        &self.0
    }
}

impl fmt::Debug for TokenDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenDigest(secret)")
    }
}
