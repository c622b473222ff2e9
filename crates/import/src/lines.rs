//! Reads plain text, one code per line, in memory that does not grow with the length of a line.

use std::io::Read;

use crate::error::ImportError;
use crate::source::Source;

/// The maximum number of bytes that are kept of a line or a field: room for a code with blanks and marks around it.
pub(crate) const BYTES_KEPT: usize = 4096;

/// Passes every line to `take` with its number, counted from 1.
pub(crate) fn each_line<R: Read>(
    source: &mut Source<'_, R>,
    mut take: impl FnMut(u64, Content<'_>) -> Result<(), ImportError>,
) -> Result<(), ImportError> {
    each_raw_line(source, BYTES_KEPT, |line_no, bytes, is_cut_off| {
        take(line_no, Content::Text { bytes, is_cut_off, place: Place::Line })
    })
}

/// Passes every line to `take`: its number, its first bytes without the line end, and whether it has more than
/// `bytes_kept`.
pub(crate) fn each_raw_line<R: Read>(
    source: &mut Source<'_, R>,
    bytes_kept: usize,
    mut take: impl FnMut(u64, &[u8], bool) -> Result<(), ImportError>,
) -> Result<(), ImportError> {
    let mut line = Vec::new();
    let mut line_no = 0;
    while next_line(source, &mut line, bytes_kept)? {
        line_no += 1;
        let is_cut_off = line.len() > bytes_kept;
        let text = line.strip_suffix(b"\r").filter(|_| !is_cut_off).unwrap_or(&line);
        take(line_no, text, is_cut_off)?;
    }
    Ok(())
}

/// Reads the next line, and keeps at most one byte more than requested; returns false at the end of the input.
fn next_line<R: Read>(source: &mut Source<'_, R>, line: &mut Vec<u8>, bytes_kept: usize) -> Result<bool, ImportError> {
    line.clear();
    let mut begun = false;
    loop {
        let bytes = source.fill()?;
        if bytes.is_empty() {
            return Ok(begun);
        }
        begun = true;
        let end = bytes.iter().position(|&byte| byte == b'\n');
        let piece = &bytes[..end.unwrap_or(bytes.len())];
        line.extend_from_slice(&piece[..piece.len().min(bytes_kept + 1 - line.len())]);
        let consumed = piece.len() + usize::from(end.is_some());
        source.consume(consumed);
        if end.is_some() {
            return Ok(true);
        }
    }
}

/// The content of a line or a row, as its reader found it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Content<'a> {
    Blank,
    NoField,
    /// A row with more fields than the header: some mark or separator is missing or too many, so any field may be wrong.
    ExtraFields,
    /// A line that is not a JSON object with a code.
    NotJson,
    /// The first bytes of a text; if `is_cut_off`, more follow.
    Text {
        bytes: &'a [u8],
        is_cut_off: bool,
        place: Place,
    },
}

/// The place of a text, which decides what may surround its code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// A whole line.
    Line,
    /// A field of a row without quotation marks.
    Field,
    /// A text whose format marks where it begins and ends.
    Marked,
}
