//! The only module that reads randomness from the operating system.

use codemint_codes::random::Key;
use codemint_offers::access::key::ApiKey;
use codemint_offers::access::token::{Purpose, TOKEN_LENGTH_BYTES, Token};

/// The length of the salt of a password's hash, in bytes.
pub const SALT_LENGTH_BYTES: usize = 16;

/// Returns a new random key, which nobody knows or chose.
///
/// # Errors
/// If the operating system cannot supply randomness, which does not happen on a running machine.
pub fn fresh_key() -> Result<Key, getrandom::Error> {
    let mut bytes = [0; Key::LENGTH_BYTES];
    getrandom::fill(&mut bytes)?;
    Ok(Key::new(bytes))
}

/// Returns a new API key, which nobody knows.
///
/// # Errors
/// Those of [`fresh_key`].
pub fn fresh_api_key() -> Result<ApiKey, getrandom::Error> {
    let mut bytes = [0; ApiKey::LENGTH_BYTES];
    getrandom::fill(&mut bytes)?;
    Ok(ApiKey::new(bytes))
}

/// Returns a new token of a session or an invitation, which nobody knows.
///
/// # Errors
/// Those of [`fresh_key`].
pub fn fresh_token<P: Purpose>() -> Result<Token<P>, getrandom::Error> {
    let mut bytes = [0; TOKEN_LENGTH_BYTES];
    getrandom::fill(&mut bytes)?;
    Ok(Token::new(bytes))
}

/// Returns a new salt for the hash of a password.
///
/// # Errors
/// Those of [`fresh_key`].
pub fn fresh_salt() -> Result<[u8; SALT_LENGTH_BYTES], getrandom::Error> {
    let mut bytes = [0; SALT_LENGTH_BYTES];
    getrandom::fill(&mut bytes)?;
    Ok(bytes)
}
