//! The lines that give no code, with the reason: any number of them, in input order. The text of a line is not kept.

use std::fmt;
use std::io::{self, Write};

use crate::error::ImportError;
use crate::merge::Merge;
use crate::progress::Progress;
use crate::reason::{Invalid, Reason};
use crate::record::Record;
use crate::sorter::Sorter;
use crate::workspace::Workspace;

/// A line, counted from 1, and the reason why it is rejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reject {
    pub line: u64,
    pub reason: Reason,
}

/// Collects rejects in any order, on disk if there are many.
pub struct Rejects {
    sorter: Sorter,
}

impl fmt::Debug for Rejects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rejects").field("len", &self.len()).finish_non_exhaustive()
    }
}

impl Rejects {
    /// Creates an empty collection, which uses an eighth of the memory that the workspace allows.
    pub fn new(workspace: &Workspace) -> Self {
        Self { sorter: Sorter::new(workspace.for_rejects()) }
    }

    /// Returns the number of rejects.
    pub fn len(&self) -> u64 {
        self.sorter.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Adds a reject; fails if the temporary file cannot be written.
    pub fn push(&mut self, line: u64, reason: Reason) -> Result<(), ImportError> {
        let (kind, number) = encoded(reason);
        let mut key = [kind; 9];
        key[..8].copy_from_slice(&line.to_be_bytes());
        self.sorter.push(&key, number)
    }

    /// Returns all rejects in ascending order of lines. `progress` receives how many the current step has sorted.
    ///
    /// # Errors
    /// If temporary files fail, and `Interrupted`; each item may return these errors too.
    pub fn finish(self, progress: Progress<'_>) -> Result<RejectsInOrder<'_>, ImportError> {
        Ok(RejectsInOrder { merge: self.sorter.finish(progress)?, progress })
    }

    /// Writes all rejects as CSV with the header `line,reason`; returns their number.
    ///
    /// # Errors
    /// The errors of [`Self::finish`], and `RejectFile` if the writer fails.
    pub fn write_csv(self, writer: impl Write, progress: Progress<'_>) -> Result<u64, ImportError> {
        let count = self.len();
        let mut rows = csv::Writer::from_writer(writer);
        rows.write_record(["line", "reason"]).map_err(csv_failure)?;
        for reject in self.finish(progress)? {
            let Reject { line, reason } = reject?;
            rows.write_record([line.to_string(), reason.to_string()]).map_err(csv_failure)?;
        }
        rows.flush().map_err(ImportError::RejectFile)?;
        Ok(count)
    }
}

/// Converts the error here because the CSV library's own conversion forgets that a pipe was closed.
fn csv_failure(error: csv::Error) -> ImportError {
    ImportError::RejectFile(match error.into_kind() {
        csv::ErrorKind::Io(error) => error,
        other => io::Error::other(format!("{other:?}")),
    })
}

/// The iterator that [`Rejects::finish`] returns.
pub struct RejectsInOrder<'a> {
    merge: Merge,
    progress: Progress<'a>,
}

impl fmt::Debug for RejectsInOrder<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RejectsInOrder").finish_non_exhaustive()
    }
}

impl Iterator for RejectsInOrder<'_> {
    type Item = Result<Reject, ImportError>;

    fn next(&mut self) -> Option<Self::Item> {
        let next = self.merge.next(self.progress).transpose()?;
        Some(next.map(|record| decoded(&record)))
    }
}

const PRESENT: u8 = 0;
const REPEAT: u8 = 1;
/// The number of the first reason of [`INVALID`]; the others follow in this order.
const FIRST_INVALID: u8 = 2;
const INVALID: [Invalid; 8] = [
    Invalid::TooLong,
    Invalid::Space,
    Invalid::Control,
    Invalid::NotAscii,
    Invalid::EmptyField,
    Invalid::NoField,
    Invalid::ExtraFields,
    Invalid::NotJson,
];

fn encoded(reason: Reason) -> (u8, u64) {
    match reason {
        Reason::Present => (PRESENT, 0),
        Reason::Repeat { first_line } => (REPEAT, first_line),
        Reason::Invalid(invalid) => {
            (FIRST_INVALID + INVALID.iter().position(|&known| known == invalid).unwrap_or_default() as u8, 0)
        }
    }
}

fn decoded(record: &Record<'_>) -> Reject {
    let line = record.key().first_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes));
    let reason = match record.key().last() {
        Some(&REPEAT) => Reason::Repeat { first_line: record.number() },
        Some(&kind @ FIRST_INVALID..) => Reason::Invalid(INVALID[usize::from(kind - FIRST_INVALID)]),
        _ => Reason::Present,
    };
    Reject { line, reason }
}

#[cfg(test)]
mod tests {
    use super::{INVALID, decoded, encoded};
    use crate::reason::Reason;
    use crate::record::Record;

    #[test]
    fn every_reason_survives_its_record() {
        let invalid = INVALID.map(Reason::Invalid);
        for reason in [Reason::Present, Reason::Repeat { first_line: u64::MAX }].into_iter().chain(invalid) {
            let (kind, number) = encoded(reason);
            let bytes = [&[9][..], &7_u64.to_be_bytes(), &[kind], &number.to_be_bytes()].concat();
            let reject = decoded(&Record { bytes: &bytes });
            assert_eq!((reject.line, reject.reason), (7, reason));
        }
    }
}
