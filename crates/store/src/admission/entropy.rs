//! The only module that reads randomness from the operating system.

use codemint_codes::random::Key;

/// Returns a new random key, which nobody knows or chose.
///
/// # Errors
/// If the operating system cannot supply randomness, which does not happen on a running machine.
pub fn fresh_key() -> Result<Key, getrandom::Error> {
    let mut bytes = [0; Key::LENGTH_BYTES];
    getrandom::fill(&mut bytes)?;
    Ok(Key::new(bytes))
}
