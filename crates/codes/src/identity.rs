//! Identities: who may use a code. What the store compares is a keyed digest, so that the identity itself can be erased.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::random::Key;
use crate::text::hexadecimal;

/// The longest identity, in characters.
pub const IDENTITY_LENGTH_MAX: usize = 200;

/// What stands before the digest of an identity that was forgotten. No identity begins with a blank.
pub const FORGOTTEN: &str = " digest:";

/// The reason why a text is not an identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdentityError {
    #[error("the identity is empty")]
    Empty,
    #[error("the identity has {0} characters; at most {IDENTITY_LENGTH_MAX} are allowed")]
    TooLong(usize),
    #[error("the identity contains control characters")]
    NotText,
    #[error("the identity contains invisible characters, such as a zero-width blank or a change of direction")]
    Invisible,
}

/// Returns the identity that a text names: without the blanks around it.
///
/// # Errors
/// If nothing is left, or more than [`IDENTITY_LENGTH_MAX`] characters, or if there are control characters or invisible
/// ones: two identities that look the same would be two.
///
/// ```
/// use codemint_codes::identity::{IdentityError, check_identity};
///
/// assert_eq!(check_identity(" customer-17 "), Ok("customer-17"));
/// assert_eq!(check_identity("  "), Err(IdentityError::Empty));
/// ```
pub fn check_identity(text: &str) -> Result<&str, IdentityError> {
    let identity = text.trim();
    match identity.chars().count() {
        0 => Err(IdentityError::Empty),
        length if length > IDENTITY_LENGTH_MAX => Err(IdentityError::TooLong(length)),
        _ if identity.contains(char::is_control) => Err(IdentityError::NotText),
        _ if identity.contains(is_invisible) => Err(IdentityError::Invisible),
        _ => Ok(identity),
    }
}

/// Returns true for characters without a glyph of their own: soft hyphen, zero-width blanks and joiners, marks, embeddings,
/// overrides and isolates of direction, separators of lines, invisible operators, and the byte order mark.
pub const fn is_invisible(c: char) -> bool {
    matches!(
        c,
        '\u{ad}'
            | '\u{61c}'
            | '\u{180e}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{feff}'
    )
}

/// The secret of a store under which identities are digested: 32 bytes. `Debug` does not show them.
#[derive(Clone)]
pub struct IdentityKey(Hmac<Sha256>);

/// The keyed digest of an identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IdentityDigest([u8; 16]);

impl IdentityKey {
    pub const LENGTH_BYTES: usize = 32;

    /// Returns `None` unless there are [`Self::LENGTH_BYTES`] bytes.
    pub fn new(bytes: &[u8]) -> Option<Self> {
        let keyed = Hmac::<Sha256>::new_from_slice(bytes).ok()?;
        (bytes.len() == Self::LENGTH_BYTES).then_some(Self(keyed))
    }

    /// Returns the first half of the HMAC-SHA256: of a million million identities, two share it with a probability of 10^-15.
    pub fn digest(&self, identity: &str) -> IdentityDigest {
        let mac = self.0.clone().chain_update(identity).finalize().into_bytes();
        let mut digest = [0; 16];
        digest.copy_from_slice(&mac[..16]);
        IdentityDigest(digest)
    }
}

impl IdentityKey {
    /// Returns the digest of an identity as it is stored: of one that was forgotten, the digest itself is stored.
    pub fn digest_of_stored(&self, identity: &str) -> String {
        match identity.strip_prefix(FORGOTTEN) {
            Some(digest) => digest.to_owned(),
            None => self.digest(identity).to_string(),
        }
    }
}

impl fmt::Debug for IdentityKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("IdentityKey(secret)")
    }
}

impl IdentityDigest {
    /// Returns the first half of the digest.
    pub const fn prefix(&self) -> u64 {
        let [a, b, c, d, e, f, g, h, ..] = self.0;
        u64::from_be_bytes([a, b, c, d, e, f, g, h])
    }

    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Display for IdentityDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hexadecimal(&self.0))
    }
}

/// The order in which the codes of one job go to identities. It follows from the job's key: the order of the codes tells
/// nothing about that of the identities.
#[derive(Clone)]
pub struct IdentityOrder(Hmac<Sha256>);

impl fmt::Debug for IdentityOrder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("IdentityOrder(secret)")
    }
}

impl IdentityOrder {
    /// HMAC takes a key of any length.
    pub fn of_job(key: &Key) -> Option<Self> {
        Some(Self(Hmac::<Sha256>::new_from_slice(key.as_bytes()).ok()?.chain_update("identities")))
    }

    /// Returns the place of an identity among the others, from the first half of its digest.
    pub fn key_of(&self, prefix: u64) -> u64 {
        let mac = self.0.clone().chain_update(prefix.to_be_bytes()).finalize().into_bytes();
        let mut key = [0; 8];
        key.copy_from_slice(&mac[..8]);
        u64::from_be_bytes(key)
    }
}
