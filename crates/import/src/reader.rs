//! Reads an input from its first byte to sorted codes and rejects.

use std::io::Read;

use sha2::{Digest as _, Sha256};

use crate::columns::{Column, each_field};
use crate::cut::{Cut, Unclear};
use crate::error::ImportError;
use crate::json_lines;
use crate::lines::{Content, Place, each_line};
use crate::odd_lines::OddLines;
use crate::preview::Previewer;
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
    /// The column of this number, counted from 1; the first row is not a header.
    NumberedColumn { number: usize, delimiter: u8 },
    /// The member `code` of a JSON object per line.
    JsonLines,
}

#[derive(Clone, Debug)]
pub struct Options {
    pub format: Format,
    /// True if nobody has said that each line is a code: then lines of another kind are an error.
    pub is_detected: bool,
    /// The maximum number of codes in a run.
    pub run_codes: u32,
    pub workspace: Workspace,
}

/// Reads the whole input; the same input always gives the same result. Codes are folded to upper case. Of equal codes
/// the first line counts and the others are rejects, as are lines without a valid code. Blank lines are only counted.
/// Blanks around a code are cut off and counted, and so is a pair of quotation marks around a whole line or field.
///
/// # Errors
/// If the input or its header cannot be read, if a quotation mark is not closed or is followed by text, if the input
/// holds no valid code, if temporary files fail; `Interrupted`.
pub fn read(input: impl Read, options: &Options, progress: Progress<'_>) -> Result<(Sorted, Rejects), ImportError> {
    let mut source = Source::open(input, progress)?;
    let mut reader = ImportReader::new(options);
    let take = |line, content: Content<'_>| reader.take(line, &content);
    match &options.format {
        Format::Lines => each_line(&mut source, take)?,
        Format::Column { name, delimiter } => each_field(&mut source, Column::Named(name), *delimiter, take)?,
        Format::NumberedColumn { number, delimiter } => {
            each_field(&mut source, Column::Numbered(*number), *delimiter, take)?;
        }
        Format::JsonLines => json_lines::each_code(&mut source, take)?,
    }
    reader.counts.bytes_read = source.bytes_read();
    reader.counts.digest = digest(source.into_digest(), &options.format);
    reader.finish(options, progress)
}

/// Returns the digest of the bytes alone for plain lines, so that other programs can compute it. For other formats, what
/// selects the codes is included.
fn digest(of_bytes: [u8; 32], format: &Format) -> [u8; 32] {
    // No delimiter has these values, because delimiters are ASCII.
    const NUMBERED: u8 = 0xff;
    const JSON_LINES: u8 = 0xfe;
    let hash = Sha256::new().chain_update(of_bytes);
    let hash = match format {
        Format::Lines => return of_bytes,
        Format::Column { name, delimiter } => hash.chain_update([*delimiter]).chain_update(name),
        Format::NumberedColumn { number, delimiter } => {
            hash.chain_update([NUMBERED, *delimiter]).chain_update(number.to_string())
        }
        Format::JsonLines => hash.chain_update([JSON_LINES]),
    };
    hash.finalize().into()
}

struct ImportReader {
    codes: Sorter,
    rejects: Rejects,
    counts: Counts,
    preview: Previewer,
    folded: Vec<u8>,
    odd_lines: OddLines,
}

impl ImportReader {
    fn new(options: &Options) -> Self {
        Self {
            codes: Sorter::new(options.workspace.clone()),
            rejects: Rejects::new(&options.workspace),
            counts: Counts::default(),
            preview: Previewer::default(),
            folded: Vec::new(),
            odd_lines: OddLines::default(),
        }
    }

    fn take(&mut self, line: u64, content: &Content<'_>) -> Result<(), ImportError> {
        self.counts.lines_read += 1;
        match *content {
            Content::Blank => {
                self.counts.blank += 1;
                Ok(())
            }
            Content::NoField => self.reject(line, Invalid::NoField),
            Content::ExtraFields => self.reject(line, Invalid::ExtraFields),
            Content::NotJson => self.reject(line, Invalid::NotJson),
            Content::Text { bytes, is_cut_off: true, .. } => {
                self.reject(line, Invalid::problem_of(bytes).unwrap_or(Invalid::TooLong))
            }
            Content::Text { bytes, place, .. } => {
                let cut = if place == Place::Marked { Ok(Cut::blanks_of(bytes)) } else { Cut::of(bytes) };
                let cut = cut.map_err(|problem| match problem {
                    Unclear::Unclosed => ImportError::UnclosedQuote { line },
                    Unclear::TextAfter => ImportError::TextAfterQuote { opened: line, line },
                })?;
                self.take_code(line, &cut, place)
            }
        }
    }

    fn take_code(&mut self, line: u64, cut: &Cut<'_>, place: Place) -> Result<(), ImportError> {
        if cut.code.is_empty() && place == Place::Line {
            self.counts.blank += 1;
            return Ok(());
        }
        if let Some(problem) = Invalid::problem_of(cut.code) {
            return self.reject(line, problem);
        }
        if place == Place::Line {
            self.odd_lines.take(line, cut.code);
        }
        self.counts.blanks_cut += u64::from(cut.blanks);
        self.counts.quotes_cut += u64::from(cut.quotes);
        self.folded.clear();
        self.folded.extend(cut.code.iter().map(u8::to_ascii_uppercase));
        self.preview.take(&self.folded, line);
        self.codes.push(&self.folded, line)
    }

    fn reject(&mut self, line: u64, problem: Invalid) -> Result<(), ImportError> {
        self.counts.invalid += 1;
        self.counts.first_invalid.get_or_insert((line, problem));
        self.rejects.push(line, Reason::Invalid(problem))
    }

    fn finish(mut self, options: &Options, progress: Progress<'_>) -> Result<(Sorted, Rejects), ImportError> {
        if self.codes.len() == 0 {
            let invalid = self.counts.invalid;
            return Err(match self.counts.first_invalid {
                Some((line, reason)) => ImportError::NoValidCode { invalid, line, reason },
                None => ImportError::Empty,
            });
        }
        if let Some(looks) = self.odd_lines.looks().filter(|_| options.is_detected) {
            return Err(ImportError::Unsuitable(looks));
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
        Ok((writer.finish(self.counts, self.preview.finish())?, self.rejects))
    }
}
