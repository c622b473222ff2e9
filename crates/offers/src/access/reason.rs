//! Reasons that people give for what they do by hand. They stand in the audit log, which holds neither codes nor addresses.

use std::fmt;

/// The longest reason, in characters.
pub const REASON_LENGTH_MAX: usize = 200;

/// The shortest part of a code that a reason may not repeat, in characters.
const CODE_LENGTH_MIN: usize = 4;

/// Why a person did something: one line without a code or an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason(String);

/// Why a text is not accepted as a reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReasonError {
    #[error("write why you do this; the audit log keeps it")]
    Empty,
    #[error("a reason has at most {REASON_LENGTH_MAX} characters; this one has {0}")]
    TooLong(usize),
    #[error("write the reason in one line, without control characters")]
    NotText,
    #[error("leave out the code: the audit log keeps the id of the redemption, and never a code")]
    NamesCode,
    #[error("leave out the address: the audit log keeps no addresses")]
    NamesAddress,
}

impl Reason {
    /// Reads a reason for an action on a redemption of this code.
    ///
    /// # Errors
    /// If it is empty, too long, or names what the audit log does not hold.
    ///
    /// ```
    /// use codemint_offers::access::reason::{Reason, ReasonError};
    ///
    /// assert_eq!(Reason::read(" order was cancelled ", "SPRING-1234").map(|reason| reason.to_string()), Ok("order was cancelled".into()));
    /// assert_eq!(Reason::read("spring-1234 was stolen", "SPRING-1234"), Err(ReasonError::NamesCode));
    /// ```
    pub fn read(text: &str, code: &str) -> Result<Self, ReasonError> {
        let reason = text.trim();
        let names_code = || code.chars().count() >= CODE_LENGTH_MIN && squeezed(reason).contains(&squeezed(code));
        match reason.chars().count() {
            0 => Err(ReasonError::Empty),
            length if length > REASON_LENGTH_MAX => Err(ReasonError::TooLong(length)),
            _ if reason.contains(char::is_control) => Err(ReasonError::NotText),
            _ if names_code() => Err(ReasonError::NamesCode),
            _ if reason.contains('@') => Err(ReasonError::NamesAddress),
            _ => Ok(Self(reason.to_owned())),
        }
    }
}

/// Returns a text in upper case without what people leave out of codes.
fn squeezed(text: &str) -> String {
    text.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_uppercase).collect()
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_one_line_without_code_and_address() {
        let long = "x".repeat(201);
        for (text, wrong) in [
            ("", ReasonError::Empty),
            (" \t ", ReasonError::Empty),
            (&long, ReasonError::TooLong(201)),
            ("two\nlines", ReasonError::NotText),
            ("code spring 12 34 was shared", ReasonError::NamesCode),
            ("asked by anna@example.org", ReasonError::NamesAddress),
        ] {
            assert_eq!(Reason::read(text, "SPRING-1234"), Err(wrong), "{text}");
        }
        let kept = Reason::read("  paid twice, ticket 4711 ", "SPRING-1234").expect("a reason");
        assert_eq!(kept.to_string(), "paid twice, ticket 4711");
    }

    #[test]
    fn a_public_code_that_is_a_short_word_may_occur() {
        assert!(Reason::read("order of May 5 was cancelled", "MAY").is_ok());
    }
}
