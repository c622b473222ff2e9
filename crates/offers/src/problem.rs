//! What is wrong with a document, field by field.

use std::fmt;

use codemint_codes::wire::fields::Repeated;

/// One problem of a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The JSON pointer of the field, such as `/limits/per_code`; empty for the document itself.
    pub field: String,
    /// What is wrong and what would be right: lower case, without a full stop.
    pub message: String,
}

impl Problem {
    pub fn new(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self { field: field.into(), message: message.into() }
    }

    /// Returns the problem of a field that occurs twice. Programs take the first or the last of them, so neither is the intended one
    /// for certain.
    pub fn repeated(repeated: &Repeated) -> Self {
        let Repeated { line, column, .. } = repeated;
        let message = format!("the field occurs twice, again at line {line} column {column}; write it once");
        Self { field: repeated.pointer(), message }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let field = if self.field.is_empty() { "/" } else { &self.field };
        write!(f, "{field}: {}", self.message)
    }
}
