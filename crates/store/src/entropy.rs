//! The one place that reads randomness from the operating system.

use codemint_codes::random::Key;

/// A key nobody knows and nobody chose.
///
/// # Errors
/// When the operating system has no randomness to give, which on a running machine does not happen.
pub fn fresh_key() -> Result<Key, getrandom::Error> {
    let mut bytes = [0; Key::LENGTH_BYTES];
    getrandom::fill(&mut bytes)?;
    Ok(Key::new(bytes))
}
