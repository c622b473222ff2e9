//! Why an import cannot be read. Codes never appear in here: errors name lines, bytes, columns and directories.

use std::fmt::Write as _;
use std::io::{self, ErrorKind};
use std::path::PathBuf;

use crate::columns::RECORD_BYTES_MAX;
use crate::rejects::Invalid;

/// A message lists this many columns at most.
const COLUMNS_LISTED_MAX: usize = 20;

#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    #[error("the input cannot be read after byte {bytes}: {source}")]
    Read { bytes: u64, source: io::Error },
    #[error("the input holds no codes; write one code a line")]
    Empty,
    #[error("none of the {invalid} lines with text holds a valid code; line {line}: {reason}")]
    NoValidCode { invalid: u64, line: u64, reason: Invalid },
    #[error("the header has no column {column:?}; its columns are {}", listed(found))]
    ColumnMissing { column: String, found: Vec<String> },
    #[error("the header has {times} columns {column:?}; give each column a name of its own")]
    ColumnRepeated { column: String, times: usize },
    #[error(
        "the row that begins on line {line} is longer than {RECORD_BYTES_MAX} bytes; is a quotation mark there never closed?"
    )]
    RowTooLong { line: u64 },
    #[error("a temporary file in {} fails: {source}{}", directory.display(), advice(source))]
    Temporary { directory: PathBuf, source: io::Error },
    #[error("the rejects cannot be written: {0}")]
    RejectFile(io::Error),
    /// The caller's own callback said so.
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
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => "; set TMPDIR to a directory with more room",
        ErrorKind::NotFound | ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => {
            "; set TMPDIR to a directory that can be written to"
        }
        _ => "",
    }
}
