//! Reads an input from its first byte to sorted codes and rejects.

use std::io::Read;

use sha2::{Digest as _, Sha256};

use crate::columns::each_field;
use crate::error::ImportError;
use crate::lines::{Content, each_line};
use crate::progress::Progress;
use crate::reason::{Invalid, Reason};
use crate::rejects::Rejects;
use crate::sorted::{Counts, Sorted, SortedWriter};
use crate::sorter::Sorter;
use crate::source::Source;
use crate::workspace::Workspace;

/// The place of the codes in the input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Format {
    /// One code per line.
    Lines,
    /// The column of this name; the first row is the header.
    Column { name: String, delimiter: u8 },
}

#[derive(Clone, Debug)]
pub struct Options {
    pub format: Format,
    /// The maximum number of codes in a run.
    pub run_codes: u32,
    pub workspace: Workspace,
}

/// Reads the whole input; the same input always gives the same result. Codes are folded to upper case. Of equal codes
/// the first line counts and the others are rejects, as are lines without a valid code. Blank lines are only counted.
///
/// # Errors
/// If the input or its header cannot be read, if the input holds no valid code, if temporary files fail; `Interrupted`.
pub fn read(input: impl Read, options: &Options, progress: Progress<'_>) -> Result<(Sorted, Rejects), ImportError> {
    let mut source = Source::open(input, progress)?;
    let mut reader = ImportReader::new(options);
    let take = |line, content: Content<'_>| reader.take(line, &content);
    match &options.format {
        Format::Lines => each_line(&mut source, take)?,
        Format::Column { name, delimiter } => each_field(&mut source, name, *delimiter, take)?,
    }
    reader.counts.bytes_read = source.bytes_read();
    reader.counts.digest = digest(source.into_digest(), &options.format);
    reader.finish(options, progress)
}

/// Returns the digest of the bytes alone for plain lines, so that other programs can compute it. For CSV, the requested
/// column is included.
fn digest(of_bytes: [u8; 32], format: &Format) -> [u8; 32] {
    match format {
        Format::Lines => of_bytes,
        Format::Column { name, delimiter } => {
            Sha256::new().chain_update(of_bytes).chain_update([*delimiter]).chain_update(name).finalize().into()
        }
    }
}

struct ImportReader {
    codes: Sorter,
    rejects: Rejects,
    counts: Counts,
    first_invalid: Option<(u64, Invalid)>,
    folded: Vec<u8>,
}

impl ImportReader {
    fn new(options: &Options) -> Self {
        Self {
            codes: Sorter::new(options.workspace.clone()),
            rejects: Rejects::new(&options.workspace),
            counts: Counts::default(),
            first_invalid: None,
            folded: Vec::new(),
        }
    }

    fn take(&mut self, line: u64, content: &Content<'_>) -> Result<(), ImportError> {
        self.counts.lines_read += 1;
        let text = match content {
            Content::Blank => {
                self.counts.blank += 1;
                return Ok(());
            }
            Content::NoField => return self.reject(line, Invalid::NoField),
            Content::Text(text) => text,
        };
        if let Some(problem) = Invalid::problem_of(text) {
            return self.reject(line, problem);
        }
        self.folded.clear();
        self.folded.extend(text.iter().map(u8::to_ascii_uppercase));
        self.codes.push(&self.folded, line)
    }

    fn reject(&mut self, line: u64, problem: Invalid) -> Result<(), ImportError> {
        self.counts.invalid += 1;
        self.first_invalid.get_or_insert((line, problem));
        self.rejects.push(line, Reason::Invalid(problem))
    }

    fn finish(mut self, options: &Options, progress: Progress<'_>) -> Result<(Sorted, Rejects), ImportError> {
        if self.codes.len() == 0 {
            let invalid = self.counts.invalid;
            return Err(match self.first_invalid {
                Some((line, reason)) => ImportError::NoValidCode { invalid, line, reason },
                None => ImportError::Empty,
            });
        }
        let progress: Progress<'_> = &|_codes| progress(self.counts.bytes_read);
        let mut merge = self.codes.finish(progress)?;
        let mut writer = SortedWriter::new(&options.workspace, options.run_codes)?;
        while let Some(record) = merge.next(progress)? {
            let (code, line) = (record.key(), record.number());
            if let Some(first_line) = writer.line_of_last(code) {
                self.counts.repeats += 1;
                self.rejects.push(line, Reason::Repeat { first_line })?;
            } else {
                writer.push(code, line)?;
            }
        }
        Ok((writer.finish(self.counts)?, self.rejects))
    }
}
