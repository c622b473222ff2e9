//! Codes as JSON lines: what `codemint export` writes and the HTTP API sends.

use serde::Serialize;

/// A line with a code.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct CodeLine<'a> {
    pub code: &'a str,
}

/// A line with a code that may belong to an identity.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct OwnedCodeLine<'a> {
    pub code: &'a str,
    /// Null if nobody has the code, or if the identity was forgotten.
    pub identity: Option<&'a str>,
}
