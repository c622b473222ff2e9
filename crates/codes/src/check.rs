//! Check characters: computed from the rest of a code under a secret, so that a shop front can reject typing errors and
//! guesses without asking the store. docs/check-characters.md has the construction and its test vectors.

use std::fmt::{self, Write as _};

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::mask::CHECK_LENGTH_MAX;
use crate::symbols::SAFE;
use crate::text::plural;

/// The shortest secret, in bytes: 128 bits are too many for an exhaustive search.
pub const SECRET_LENGTH_MIN: usize = 16;
/// The longest secret, in bytes: anything longer is another kind of file.
pub const SECRET_LENGTH_MAX: usize = 4096;

const FINGERPRINT_TEXT: &[u8] = b"codemint check key fingerprint";

/// The secret of check characters, ready for use. `Debug` does not show it.
///
/// ```
/// use codemint_codes::check::CheckKey;
///
/// let key = CheckKey::new(b"0123456789abcdef0123456789abcdef")?;
/// let mut check = [0; 2];
/// key.write(b"SPRING-7KX", &mut check);
/// assert!(key.verify(b"SPRING-7KX", &check));
/// assert!(!key.verify(b"SPRING-7XK", &check));
/// # Ok::<(), codemint_codes::check::CheckKeyError>(())
/// ```
#[derive(Clone)]
pub struct CheckKey {
    /// The HMAC that has already absorbed the key: a body of up to 55 bytes then costs two compressions.
    keyed: Hmac<Sha256>,
}

/// The reason why some bytes cannot be the secret of check characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CheckKeyError {
    #[error("the secret is empty; {SECRET_LENGTH_MIN} to {SECRET_LENGTH_MAX} random bytes are expected")]
    Empty,
    #[error("the secret has {length} {}; at least {SECRET_LENGTH_MIN} random bytes are expected", plural(*length, "byte"))]
    TooShort { length: usize },
    #[error(
        "the secret has more than {SECRET_LENGTH_MAX} bytes; {SECRET_LENGTH_MIN} to {SECRET_LENGTH_MAX} random bytes are expected"
    )]
    TooLong,
}

impl CheckKey {
    /// Creates a key; fails if the secret is shorter than [`SECRET_LENGTH_MIN`] or longer than [`SECRET_LENGTH_MAX`].
    pub fn new(secret: &[u8]) -> Result<Self, CheckKeyError> {
        match secret.len() {
            0 => Err(CheckKeyError::Empty),
            length if length < SECRET_LENGTH_MIN => Err(CheckKeyError::TooShort { length }),
            length if length > SECRET_LENGTH_MAX => Err(CheckKeyError::TooLong),
            // HMAC itself accepts keys of any length.
            _ => Hmac::new_from_slice(secret).map(|keyed| Self { keyed }).map_err(|_| CheckKeyError::TooLong),
        }
    }

    /// Writes the check characters of a code whose other characters are `body`; at most [`CHECK_LENGTH_MAX`] of them.
    pub fn write(&self, body: &[u8], check: &mut [u8]) {
        debug_assert!(check.len() <= CHECK_LENGTH_MAX, "more check characters than a mask can have");
        let radix = SYMBOLS.len() as u64;
        let mut number = self.number(body);
        for symbol in check.iter_mut().rev() {
            *symbol = SYMBOLS[(number % radix) as usize];
            number /= radix;
        }
    }

    /// Returns true if these are the check characters of this body. Takes the same time wherever they differ.
    pub fn verify(&self, body: &[u8], check: &[u8]) -> bool {
        let mut right = [0; CHECK_LENGTH_MAX];
        let Some(right) = right.get_mut(..check.len()) else { return false };
        self.write(body, right);
        right.iter().zip(check).fold(0, |difference, (a, b)| difference | (a ^ b)) == 0
    }

    /// Returns a text that distinguishes keys without revealing them, stored with what was made under this key. No body
    /// of a code contains lower case or spaces, so it reveals nothing about any check characters.
    pub fn fingerprint(&self) -> String {
        let mut text = String::new();
        for byte in self.number(FINGERPRINT_TEXT).to_be_bytes() {
            let written = write!(text, "{byte:02x}");
            debug_assert!(written.is_ok(), "writing to a String cannot fail");
        }
        text
    }

    /// Returns the first eight bytes of the MAC. The lowest digits of a number to base 24 are the number modulo a power
    /// of 24, and the bias of that is at most 24^4 / 2^64, less than one in 10^13.
    fn number(&self, message: &[u8]) -> u64 {
        let mac = self.keyed.clone().chain_update(message).finalize().into_bytes();
        mac.iter().take(8).fold(0, |number, &byte| number << 8 | u64::from(byte))
    }
}

impl fmt::Debug for CheckKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CheckKey(secret)")
    }
}

/// The symbols of [`SAFE`] in ASCII order: the digits to base 24.
const SYMBOLS: [u8; SAFE.len() as usize] = {
    let mut symbols = [0; SAFE.len() as usize];
    let (mut byte, mut at) = (0, 0);
    while byte < 128 {
        if SAFE.contains(byte) {
            symbols[at] = byte;
            at += 1;
        }
        byte += 1;
    }
    symbols
};
