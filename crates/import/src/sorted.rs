//! The codes of an input, each once, in ascending order, cut into runs of one length.

use std::fmt;
use std::fs::File;
use std::io::{self, BufWriter, IntoInnerError, Write};
use std::os::unix::fs::FileExt;

use crate::error::ImportError;
use crate::preview::Preview;
use crate::reason::Invalid;
use crate::record::NUMBER_BYTES;
use crate::workspace::Workspace;
use codemint_codes::batch::CodeBatch;
use codemint_codes::mask::CODE_LENGTH_MAX;
use codemint_codes::symbols::SymbolSet;

const WRITE_BUFFER_BYTES: usize = 256 * 1024;
/// The number of ASCII byte values.
const SYMBOLS: usize = 128;

/// An input that has been read, with its codes in a temporary file.
#[derive(Debug)]
pub struct Sorted {
    pub counts: Counts,
    /// The number of different codes: the sum over `runs`, and also over `groups`.
    pub codes: u64,
    /// The runs in ascending order: shorter codes first, then by bytes.
    pub runs: Vec<RunPlan>,
    /// The groups, one for each length of codes, in ascending order.
    pub groups: Vec<Group>,
    pub preview: Preview,
    file: File,
}

/// What was counted in an input: `lines_read` is the number of different codes plus `invalid`, `repeats` and `blank`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// The SHA-256 of the input's bytes; for other formats than plain lines, that of this digest and of what selects the
    /// codes: for CSV, the delimiter and the column's name.
    pub digest: [u8; 32],
    pub bytes_read: u64,
    /// The number of lines, or of rows below the header and the blank lines between them.
    pub lines_read: u64,
    pub invalid: u64,
    pub repeats: u64,
    pub blank: u64,
    /// The number of codes around which blanks were cut off.
    pub blanks_cut: u64,
    /// The number of codes around which a pair of quotation marks was cut off.
    pub quotes_cut: u64,
    /// The first line without a valid code.
    pub first_invalid: Option<(u64, Invalid)>,
}

impl Counts {
    /// Returns the number of lines that should hold a code.
    pub fn lines_with_text(&self) -> u64 {
        self.lines_read - self.blank
    }

    /// Accepts at most 1 line in 100 without a valid code: more of them mean that the input is not what it is read as.
    ///
    /// # Errors
    /// `TooManyInvalid`.
    pub fn check_invalid(&self) -> Result<(), ImportError> {
        let lines = self.lines_with_text();
        match self.first_invalid {
            Some((line, reason)) if u128::from(self.invalid) * 100 > u128::from(lines) => {
                Err(ImportError::TooManyInvalid { invalid: self.invalid, lines, line, reason })
            }
            _ => Ok(()),
        }
    }
}

/// A run: consecutive codes of one length.
#[derive(Clone, PartialEq, Eq)]
pub struct RunPlan {
    pub first: String,
    pub last: String,
    pub codes: u32,
    /// The symbols seen at each position.
    pub symbols: Vec<SymbolSet>,
    offset: u64,
}

/// All codes of one length.
#[derive(Clone, PartialEq, Eq)]
pub struct Group {
    pub first: String,
    pub last: String,
    pub codes: u64,
    /// The symbols seen at each position.
    pub symbols: Vec<SymbolSet>,
}

/// The codes of a run, and their line numbers in the input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SortedRun {
    pub codes: CodeBatch,
    pub lines: Vec<u64>,
}

impl RunPlan {
    pub fn code_length(&self) -> usize {
        self.first.len()
    }
}

impl Group {
    pub fn code_length(&self) -> usize {
        self.first.len()
    }
}

/// Shows no codes, because they are worth money.
impl fmt::Debug for RunPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("RunPlan");
        shown.field("code_length", &self.code_length()).field("codes", &self.codes).finish_non_exhaustive()
    }
}

/// Shows no codes either, for the same reason as [`RunPlan`].
impl fmt::Debug for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Group");
        shown.field("code_length", &self.code_length()).field("codes", &self.codes).finish_non_exhaustive()
    }
}

impl Sorted {
    /// Reads one run; may be called repeatedly and from any thread.
    ///
    /// # Errors
    /// If there is no such run or the temporary file cannot be read.
    pub fn read_run(&self, index: usize) -> io::Result<SortedRun> {
        let run = self.runs.get(index).ok_or(io::ErrorKind::NotFound)?;
        let (code_length, codes) = (run.code_length(), run.codes as usize);
        let mut records = vec![0; codes * (code_length + NUMBER_BYTES)];
        self.file.read_exact_at(&mut records, run.offset)?;
        let mut text = Vec::with_capacity(codes * (code_length + 1));
        let mut lines = Vec::with_capacity(codes);
        for record in records.chunks_exact(code_length + NUMBER_BYTES) {
            text.extend_from_slice(&record[..code_length]);
            text.push(b'\n');
            lines.extend(record.last_chunk().map(|bytes| u64::from_be_bytes(*bytes)));
        }
        Ok(SortedRun { codes: CodeBatch::from_ascii_lines(text), lines })
    }
}

/// Writes codes, which must arrive in ascending order.
pub(crate) struct SortedWriter {
    workspace: Workspace,
    file: BufWriter<File>,
    run_codes: u32,
    runs: Vec<RunPlan>,
    groups: Vec<Group>,
    offset: u64,
    last_line: u64,
    last_code: Vec<u8>,
    open: OpenRun,
}

/// The run that is being written.
#[derive(Default)]
struct OpenRun {
    first: Vec<u8>,
    codes: u32,
    offset: u64,
    /// The symbols seen at each position: one memory write per byte is cheaper than a set of 128 bits.
    seen: Vec<[bool; SYMBOLS]>,
}

impl SortedWriter {
    pub fn new(workspace: &Workspace, run_codes: u32) -> Result<Self, ImportError> {
        let file = BufWriter::with_capacity(WRITE_BUFFER_BYTES, workspace.file()?);
        Ok(Self {
            workspace: workspace.clone(),
            file,
            run_codes: run_codes.max(1),
            runs: Vec::new(),
            groups: Vec::new(),
            offset: 0,
            last_line: 0,
            last_code: Vec::with_capacity(CODE_LENGTH_MAX),
            open: OpenRun::default(),
        })
    }

    /// Returns the line of this code if it is the last one that was pushed.
    pub fn line_of_last(&self, code: &[u8]) -> Option<u64> {
        (self.last_code == code).then_some(self.last_line)
    }

    pub fn push(&mut self, code: &[u8], line: u64) -> Result<(), ImportError> {
        if self.open.codes == self.run_codes || self.last_code.len() != code.len() {
            self.end_run();
            self.open = OpenRun::starting_with(code, self.offset);
        }
        self.open.add(code);
        self.last_code.clear();
        self.last_code.extend_from_slice(code);
        self.last_line = line;
        self.offset += (code.len() + NUMBER_BYTES) as u64;
        let written = self.file.write_all(code).and_then(|()| self.file.write_all(&line.to_be_bytes()));
        self.workspace.with_directory(written)
    }

    fn end_run(&mut self) {
        if self.open.codes == 0 {
            return;
        }
        let run = std::mem::take(&mut self.open).plan(&self.last_code);
        match self.groups.last_mut() {
            Some(group) if group.code_length() == run.code_length() => group.add(&run),
            _ => self.groups.push(Group::of(&run)),
        }
        self.runs.push(run);
    }

    pub fn finish(mut self, counts: Counts, preview: Preview) -> Result<Sorted, ImportError> {
        self.end_run();
        let file = self.workspace.with_directory(self.file.into_inner().map_err(IntoInnerError::into_error))?;
        let codes = self.groups.iter().map(|group| group.codes).sum();
        Ok(Sorted { counts, codes, runs: self.runs, groups: self.groups, preview, file })
    }
}

impl OpenRun {
    fn starting_with(code: &[u8], offset: u64) -> Self {
        Self { first: code.to_vec(), codes: 0, offset, seen: vec![[false; SYMBOLS]; code.len()] }
    }

    fn add(&mut self, code: &[u8]) {
        self.codes += 1;
        for (seen, &byte) in self.seen.iter_mut().zip(code) {
            seen[usize::from(byte) % SYMBOLS] = true;
        }
    }

    fn plan(self, last: &[u8]) -> RunPlan {
        let symbols = self.seen.iter().map(|seen| {
            let symbols: Vec<u8> = (0..).zip(seen).filter(|&(_, &seen)| seen).map(|(symbol, _)| symbol).collect();
            SymbolSet::of(&symbols)
        });
        RunPlan {
            first: String::from_utf8_lossy(&self.first).into_owned(),
            last: String::from_utf8_lossy(last).into_owned(),
            codes: self.codes,
            symbols: symbols.collect(),
            offset: self.offset,
        }
    }
}

impl Group {
    fn of(run: &RunPlan) -> Self {
        let RunPlan { first, last, codes, symbols, .. } = run.clone();
        Self { first, last, codes: codes.into(), symbols }
    }

    fn add(&mut self, run: &RunPlan) {
        self.last.clone_from(&run.last);
        self.codes += u64::from(run.codes);
        for (symbols, more) in self.symbols.iter_mut().zip(&run.symbols) {
            *symbols = symbols.union(*more);
        }
    }
}
