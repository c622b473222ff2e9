//! The only module that reads randomness from the operating system.

use codemint_codes::random::Key;
use codemint_offers::access::key::ApiKey;

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
