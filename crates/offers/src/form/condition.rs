//! Conditions that a person writes as JSON.

use serde_json::Value;

/// Reads a text as JSON.
///
/// # Errors
/// Advice that names the place where it stops being JSON.
pub fn json_of(text: &str) -> Result<Value, String> {
    serde_json::from_str(text).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        format!("this is not JSON, in line {line}, column {column}; write a condition as docs/campaigns.md shows")
    })
}
