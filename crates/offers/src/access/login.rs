//! Logins: the names by which people sign in.

use std::fmt;
use std::str::FromStr;

use codemint_codes::text::printable;
use schemars::JsonSchema;
use serde::Serialize;
use unicode_normalization::UnicodeNormalization;

/// The longest login, in characters.
pub const LOGIN_LENGTH_MAX: usize = 100;

/// A login, such as `ann.lee` or `ann@example.org`: without the blanks around it, composed (NFC), in lower case. Texts that differ in
/// nothing else are the same login. `Debug` does not show it: it may be an e-mail address, and logs have none.
///
/// ```
/// use codemint_offers::access::login::Login;
///
/// let login: Login = " Ann.Lee ".parse().expect("a login");
/// assert_eq!(login.as_str(), "ann.lee");
/// assert_eq!(format!("{login:?}"), "Login(not shown)");
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, JsonSchema)]
#[serde(transparent)]
pub struct Login(String);

/// The reason why a text is not a login. It never names the text: it may be a password, typed into the wrong field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LoginError {
    #[error("a login has 1 to {LOGIN_LENGTH_MAX} characters, got {0}")]
    Length(usize),
    #[error("a login has no blanks, control characters or invisible characters; write a name such as ann.lee")]
    NotText,
}

impl Login {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Login {
    type Err = LoginError;

    fn from_str(text: &str) -> Result<Self, LoginError> {
        let text = text.trim();
        let length = text.chars().count();
        // Before the text is normalized, so that a long one costs nothing.
        if length > LOGIN_LENGTH_MAX {
            return Err(LoginError::Length(length));
        }
        let login = normalized(text);
        let length = login.chars().count();
        if !(1..=LOGIN_LENGTH_MAX).contains(&length) {
            return Err(LoginError::Length(length));
        }
        if login.contains(char::is_whitespace) || printable(&login) != login {
            return Err(LoginError::NotText);
        }
        Ok(Self(login))
    }
}

/// Lower case of a composed text need not be composed, and some letters compose to ones that have a lower case.
fn normalized(text: &str) -> String {
    text.nfc().collect::<String>().to_lowercase().nfc().collect()
}

impl fmt::Display for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Login(not shown)")
    }
}
