//! Passwords: what may be one. By NIST SP 800-63B, length counts and composition does not.

use std::fmt;
use std::str::FromStr;

use unicode_normalization::UnicodeNormalization;
use zeroize::Zeroizing;

use crate::access::login::Login;

/// The shortest password that may be chosen, in characters.
pub const PASSWORD_LENGTH_MIN: usize = 12;
/// The longest password, in characters.
pub const PASSWORD_LENGTH_MAX: usize = 256;
/// The longest password, in bytes: UTF-8 has up to four for a character.
const PASSWORD_BYTES_MAX: usize = PASSWORD_LENGTH_MAX * 4;

/// The passwords of at least [`PASSWORD_LENGTH_MIN`] characters that are tried first, in lower case.
const COMMON: &str = include_str!("common_passwords.txt");

/// A password as somebody typed it, composed (NFC), so that keyboards which write the same letter in different ways do not matter.
/// Whether it may be chosen is up to [`Password::check_choice`]. Its memory is erased; `Debug` does not show it.
///
/// ```
/// use codemint_offers::access::password::Password;
///
/// let password: Password = "seven green lamps".parse().expect("a password");
/// assert_eq!(format!("{password:?}"), "Password(secret)");
/// ```
#[derive(Clone)]
pub struct Password(Zeroizing<String>);

/// The reason why a text is not a password, or may not be chosen as one. It never names the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PasswordError {
    #[error("a password has at least {PASSWORD_LENGTH_MIN} characters, got {0}; several words are easy to remember")]
    TooShort(usize),
    #[error("a password has at most {PASSWORD_LENGTH_MAX} characters")]
    TooLong,
    #[error("a password has no control characters; type it as plain text")]
    NotText,
    #[error("the password is the login, once or repeated; choose another one")]
    IsLogin,
    #[error("this password is one of the most common ones, which are tried first; choose another one")]
    Common,
}

impl Password {
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }

    /// Checks whether somebody with this login may choose the password.
    ///
    /// # Errors
    /// If it is too short, contains control characters, is the login or a common password.
    pub fn check_choice(&self, login: &Login) -> Result<(), PasswordError> {
        let length = self.0.chars().count();
        if length < PASSWORD_LENGTH_MIN {
            return Err(PasswordError::TooShort(length));
        }
        if self.0.contains(char::is_control) {
            return Err(PasswordError::NotText);
        }
        let plain = Zeroizing::new(self.0.to_lowercase());
        if is_repeated(plain.trim(), login.as_str()) {
            return Err(PasswordError::IsLogin);
        }
        let is_common = COMMON.lines().any(|common| common == plain.trim());
        if is_common { Err(PasswordError::Common) } else { Ok(()) }
    }
}

/// Returns true for a login, also one that is repeated until it is long enough.
fn is_repeated(text: &str, login: &str) -> bool {
    !login.is_empty() && text.replace(login, "").is_empty()
}

impl FromStr for Password {
    type Err = PasswordError;

    fn from_str(text: &str) -> Result<Self, PasswordError> {
        // Before the text is normalized, so that a long one costs nothing.
        if text.len() > PASSWORD_BYTES_MAX {
            return Err(PasswordError::TooLong);
        }
        // Composing makes few texts longer, and none more than three times as long: the string does not move while it grows.
        let mut composed = Zeroizing::new(String::with_capacity(text.len() * 3));
        composed.extend(text.nfc());
        if composed.chars().count() > PASSWORD_LENGTH_MAX { Err(PasswordError::TooLong) } else { Ok(Self(composed)) }
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(secret)")
    }
}
