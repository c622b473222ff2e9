//! Reads plain text, one code per line, in memory that does not grow with the length of a line.

use std::io::Read;

use crate::error::ImportError;
use crate::source::Source;
use codemint_codes::mask::CODE_LENGTH_MAX;

/// Enough bytes to see that a line is too long, even if a carriage return follows that is part of the line's end.
pub(crate) const BYTES_KEPT: usize = CODE_LENGTH_MAX + 2;

/// Passes every line to `take` with its number, counted from 1. Lines longer than [`BYTES_KEPT`] are cut off.
pub(crate) fn each_line<R: Read>(
    source: &mut Source<'_, R>,
    mut take: impl FnMut(u64, Content<'_>) -> Result<(), ImportError>,
) -> Result<(), ImportError> {
    let mut line = Vec::with_capacity(BYTES_KEPT);
    let mut line_no = 0;
    while next_line(source, &mut line)? {
        line_no += 1;
        match line.strip_suffix(b"\r").unwrap_or(&line) {
            b"" => take(line_no, Content::Blank)?,
            text => take(line_no, Content::Text(text))?,
        }
    }
    Ok(())
}

/// Reads the next line; returns false at the end of the input.
fn next_line<R: Read>(source: &mut Source<'_, R>, line: &mut Vec<u8>) -> Result<bool, ImportError> {
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
        line.extend_from_slice(&piece[..piece.len().min(BYTES_KEPT - line.len())]);
        let consumed = piece.len() + usize::from(end.is_some());
        source.consume(consumed);
        if end.is_some() {
            return Ok(true);
        }
    }
}

/// The content of a line or a row, as its reader found it.
pub(crate) enum Content<'a> {
    Blank,
    NoField,
    Text(&'a [u8]),
}
