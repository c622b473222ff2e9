//! Errors of imports. They name lines, bytes, columns and directories, but never codes. For many, [`Advice`] is the fix.

use std::io::{self, ErrorKind};
use std::path::PathBuf;

use crate::looks::{Advice, Looks, best_column, listed, quoted_name};
use crate::reason::Invalid;
use codemint_codes::text::printable;

#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    #[error("the input cannot be read after byte {bytes}: {source}")]
    Read { bytes: u64, source: io::Error },
    #[error("the input holds no codes; write one code per line")]
    Empty,
    #[error("the input holds no valid code (lines with text: {invalid}); line {line}: {reason}")]
    NoValidCode { invalid: u64, line: u64, reason: Invalid },
    #[error(
        "{invalid} of {lines} lines hold no valid code, which is more than 1 in 100, so nothing was stored; the first is line {line}: {reason}"
    )]
    TooManyInvalid { invalid: u64, lines: u64, line: u64, reason: Invalid },
    /// The content is not what it would be read as.
    #[error("{0}")]
    Unsuitable(Looks),
    #[error("--no-header needs the number of a column, counted from 1, as --column, got {}", quoted_name(column))]
    ColumnNotNumbered { column: String },
    #[error(
        "the quotation mark on line {line} is not closed; close it, or double a mark that belongs to a quoted text; nothing was stored"
    )]
    UnclosedQuote { line: u64 },
    #[error(
        "{} is followed by text; double a mark that belongs to a quoted text; nothing was stored",
        closed(*opened, *line)
    )]
    TextAfterQuote { opened: u64, line: u64 },
    #[error("the header has no column {}; its columns are {}", quoted_name(column), listed(found, |name| quoted_name(name)))]
    ColumnMissing { column: String, found: Vec<String> },
    /// The columns are not named here: the first row may hold identities.
    #[error(
        "the first row has several columns, and none is called identity; name the column in a header, or write one identity per line"
    )]
    NoIdentityColumn,
    /// The name is one of a few fixed ones.
    #[error(
        "line {line} is the usual name of a column ({name}); call the column identity, or remove the line; if it is an identity, write a line identity before it"
    )]
    OtherIdentityColumn { line: u64, name: &'static str },
    #[error(
        "line {line} is JSON; write one identity per line, or a CSV file with a column identity; if the line is an identity, write a line identity before it"
    )]
    JsonIdentities { line: u64 },
    #[error(
        "line {line} is in quotation marks, which would belong to the identity; write a line identity before it, so that the list is read as CSV, or remove the marks"
    )]
    QuotedIdentities { line: u64 },
    #[error("the header has {times} columns {}; give each column a name of its own", quoted_name(column))]
    ColumnRepeated { column: String, times: usize },
    #[error(
        "the row that begins on line {line} is longer than {bytes_max} bytes; look there for a quotation mark that is never closed"
    )]
    RowTooLong { line: u64, bytes_max: usize },
    #[error("a temporary file in {} failed: {source}{}", printable(&directory.display().to_string()), advice(source))]
    Temporary { directory: PathBuf, source: io::Error },
    #[error("the rejected lines cannot be written: {0}")]
    RejectFile(io::Error),
    /// The caller's progress callback stopped the import.
    #[error("the import was interrupted")]
    Interrupted,
}

impl ImportError {
    /// Returns what to do about the error, if a command can do it.
    pub fn advice(&self) -> Option<Advice> {
        match self {
            Self::Unsuitable(looks) => looks.advice(),
            Self::ColumnMissing { found, .. } => {
                best_column(found).map(|name| Advice::Options(vec!["--column".to_owned(), name.to_owned()]))
            }
            Self::ColumnNotNumbered { .. } => {
                Some(Advice::Options(["--no-header", "--column", "1"].map(str::to_owned).to_vec()))
            }
            Self::TooManyInvalid { .. } => {
                Some(Advice::Options(["--dry-run", "--reject-file", "rejected.csv"].map(str::to_owned).to_vec()))
            }
            Self::UnclosedQuote { line } | Self::TextAfterQuote { opened: line, .. } => Some(Advice::ShowLine(*line)),
            _ => None,
        }
    }
}

fn closed(opened: u64, line: u64) -> String {
    if opened == line {
        format!("the closed quotation mark on line {line}")
    } else {
        format!("the quotation mark that opens on line {opened} is closed on line {line} and")
    }
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
