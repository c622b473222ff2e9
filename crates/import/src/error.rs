//! Errors of imports. They name lines, bytes, columns and directories, but never codes.

use std::fmt::Write as _;
use std::io::{self, ErrorKind};
use std::path::PathBuf;

use crate::reason::Invalid;

/// The maximum number of columns that a message lists.
const COLUMNS_LISTED_MAX: usize = 20;

#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    #[error("the input cannot be read after byte {bytes}: {source}")]
    Read { bytes: u64, source: io::Error },
    #[error("the input holds no codes; write one code per line")]
    Empty,
    #[error("the input holds no valid code (lines with text: {invalid}); line {line}: {reason}")]
    NoValidCode { invalid: u64, line: u64, reason: Invalid },
    #[error("the header has no column {column:?}; its columns are {}", listed(found))]
    ColumnMissing { column: String, found: Vec<String> },
    #[error("the header has {times} columns {column:?}; give each column a name of its own")]
    ColumnRepeated { column: String, times: usize },
    #[error(
        "the row that begins on line {line} is longer than {bytes_max} bytes; look there for a quotation mark that is never closed"
    )]
    RowTooLong { line: u64, bytes_max: usize },
    #[error("a temporary file in {} failed: {source}{}", directory.display(), advice(source))]
    Temporary { directory: PathBuf, source: io::Error },
    #[error("the rejected lines cannot be written: {0}")]
    RejectFile(io::Error),
    /// The caller's progress callback stopped the import.
    #[error("the import was interrupted")]
    Interrupted,
}

fn listed(columns: &[String]) -> String {
    let names: Vec<String> = columns.iter().take(COLUMNS_LISTED_MAX).map(|name| format!("{name:?}")).collect();
    let mut text = names.join(", ");
    if columns.len() > COLUMNS_LISTED_MAX {
        let written = write!(text, " and {} more", columns.len() - COLUMNS_LISTED_MAX);
        debug_assert!(written.is_ok(), "writing to a String cannot fail");
    }
    text
}

fn advice(error: &io::Error) -> &'static str {
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => "; set TMPDIR to a directory with more space",
        ErrorKind::NotFound | ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => {
            "; set TMPDIR to a directory that can be written to"
        }
        _ => "",
    }
}
