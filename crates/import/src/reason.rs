//! The reasons why a line gives no code.

use codemint_codes::mask::CODE_LENGTH_MAX;
use codemint_codes::symbols::is_printable;

/// Enough bytes to see that a text is too long, even if a carriage return follows that is part of the line's end.
const BYTES_JUDGED: usize = CODE_LENGTH_MAX + 2;

/// The reason why a line gives no code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    #[error("{0}")]
    Invalid(Invalid),
    #[error("repeat of line {first_line}")]
    Repeat { first_line: u64 },
    #[error("exists already")]
    Present,
}

/// The reason why a text is not a valid code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    #[error("longer than {CODE_LENGTH_MAX} characters")]
    TooLong,
    #[error("contains a space or a tab")]
    Space,
    #[error("contains a control character")]
    Control,
    #[error("contains a character that is not ASCII")]
    NotAscii,
    #[error("the column is empty")]
    EmptyField,
    #[error("the row has no such column")]
    NoField,
    #[error("the row has more fields than the header; put quotation marks around a text with separators")]
    ExtraFields,
    #[error("is not a JSON object with a text \"code\"")]
    NotJson,
}

impl Invalid {
    /// Returns the problem of a text, from its first byte that is not printable; of a long text the start is enough.
    ///
    /// ```
    /// use codemint_import::reason::Invalid;
    ///
    /// assert_eq!(Invalid::problem_of(b"SPRING-7KX"), None);
    /// assert_eq!(Invalid::problem_of(b"SPRING 7KX"), Some(Invalid::Space));
    /// ```
    ///
    /// Characters outside ASCII are reported before the length, because the length is counted in bytes.
    pub fn problem_of(text: &[u8]) -> Option<Self> {
        let start = &text[..text.len().min(BYTES_JUDGED)];
        match start.iter().find(|&&byte| !is_printable(byte)) {
            _ if text.is_empty() => Some(Self::EmptyField),
            Some(128..) => Some(Self::NotAscii),
            _ if text.len() > CODE_LENGTH_MAX => Some(Self::TooLong),
            Some(b' ' | b'\t') => Some(Self::Space),
            Some(_) => Some(Self::Control),
            None => None,
        }
    }
}
