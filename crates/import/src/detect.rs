//! Decides from the first bytes of an input what it is, and refuses what does not look like codes.

use std::io::{Chain, Cursor, Read};

use crate::columns::header;
use crate::encoding::Decoded;
use crate::error::ImportError;
use crate::json_lines::code_of;
use crate::looks::{Looks, is_header, is_usual_name};
use crate::reader::Format;
use crate::separator::{SEPARATORS, count_outside_quotes, most_frequent, separator_line};

/// The number of bytes on which the decision is based.
pub const HEAD_BYTES: usize = 64 * 1024;
/// The header of the program's own CSV files.
const OWN_HEADER: &str = "code";

/// The kind of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Lines,
    Csv,
    JsonLines,
}

/// What is known about an input before it is read: requested by the user, or by the ending of the file's name.
#[derive(Clone, Debug, Default)]
pub struct Asked {
    pub kind: Option<Kind>,
    /// The name of a column, or its number if `no_header` is set.
    pub column: Option<String>,
    pub no_header: bool,
    pub delimiter: Option<u8>,
}

impl Asked {
    fn kind(&self) -> Option<Kind> {
        let is_csv = self.column.is_some() || self.no_header || self.delimiter.is_some();
        self.kind.or(is_csv.then_some(Kind::Csv))
    }
}

/// An input whose first bytes have been read, and are read once more.
pub type Whole<R> = Chain<Cursor<Vec<u8>>, R>;

/// Reads the first bytes of an input, which may be a pipe, and decides its format. The input that is returned still
/// begins with them.
///
/// # Errors
/// `Read`, and the errors of [`decide`].
pub fn detect<R: Read>(mut input: R, asked: &Asked) -> Result<(Format, Whole<R>), ImportError> {
    let mut head = Vec::new();
    let read = (&mut input).take(HEAD_BYTES as u64).read_to_end(&mut head);
    read.map_err(|source| ImportError::Read { bytes: head.len() as u64, source })?;
    let format = decide(&head, head.len() < HEAD_BYTES, asked)?;
    Ok((format, Cursor::new(head).chain(input)))
}

/// Decides the format of an input from its first bytes; `is_whole` if nothing follows them.
///
/// # Errors
/// `Unsuitable`, `ColumnNotNumbered`, and the errors of a header row.
pub fn decide(head: &[u8], is_whole: bool, asked: &Asked) -> Result<Format, ImportError> {
    if let Some(looks) = Looks::of_first_bytes(head) {
        return Err(ImportError::Unsuitable(looks));
    }
    let text = decoded(head)?;
    match asked.kind() {
        Some(Kind::Lines) => Ok(Format::Lines),
        Some(Kind::JsonLines) => match json_array(&sample(&text, is_whole)) {
            Some(array) => Err(ImportError::Unsuitable(array)),
            None => Ok(Format::JsonLines),
        },
        Some(Kind::Csv) => csv(&text, asked),
        None if separator_line(&text).is_some() => csv(&text, asked),
        None => by_content(&text, is_whole),
    }
}

/// Decodes the first bytes of an input by their byte order mark.
pub(crate) fn decoded(head: &[u8]) -> Result<Vec<u8>, ImportError> {
    let failure = |source| ImportError::Read { bytes: 0, source };
    let mut text = Vec::new();
    Decoded::open(head).map_err(|(_head, error)| failure(error))?.read_to_end(&mut text).map_err(failure)?;
    Ok(text)
}

/// Returns true if the lines of a text end as they did on the first Macintosh computers: read as lines, they are one.
pub(crate) fn has_only_carriage_returns(text: &[u8]) -> bool {
    let text = text.trim_ascii();
    text.contains(&b'\r') && !text.contains(&b'\n')
}

/// A line that is not blank, with its number.
type Line<'a> = (u64, &'a [u8]);

/// Returns the lines that are not blank, without the last one if it may be incomplete.
fn sample(text: &[u8], is_whole: bool) -> Vec<Line<'_>> {
    let complete =
        if is_whole { text.len() } else { text.iter().rposition(|&byte| byte == b'\n').unwrap_or(text.len()) };
    let lines = (1..).zip(text[..complete].split(|&byte| byte == b'\n'));
    lines.map(|(line_no, line)| (line_no, line.trim_ascii())).filter(|(_, line)| !line.is_empty()).collect()
}

fn by_content(text: &[u8], is_whole: bool) -> Result<Format, ImportError> {
    let lines = sample(text, is_whole);
    let Some(&(line_no, first)) = lines.first() else { return Ok(Format::Lines) };
    if has_only_carriage_returns(text) {
        return Err(ImportError::Unsuitable(Looks::CarriageReturns));
    }
    if let Some(array) = json_array(&lines) {
        return Err(ImportError::Unsuitable(array));
    }
    if let Some(object) = first.strip_prefix(b"{").map(<[u8]>::trim_ascii_start) {
        if code_of(first).is_some() {
            return Ok(Format::JsonLines);
        }
        if matches!(object, [] | [b'"' | b'}', ..]) {
            return Err(ImportError::Unsuitable(Looks::JsonWithoutCode { line: line_no }));
        }
    }
    if first == OWN_HEADER.as_bytes() || first == b"\"code\"" {
        return Ok(Format::Column { name: OWN_HEADER.to_owned(), delimiter: b',' });
    }
    match std::str::from_utf8(first).map(|line| line.trim_matches(['"', '\''])) {
        Ok(name) if is_usual_name(name) => {
            Err(ImportError::Unsuitable(Looks::Header { line: line_no, name: name.to_owned() }))
        }
        _ => check_is_no_table(&lines),
    }
}

/// Refuses lines most of which have a separator, and those below a header of several columns.
fn check_is_no_table(lines: &[Line<'_>]) -> Result<Format, ImportError> {
    let Some(&(line, first)) = lines.first() else { return Ok(Format::Lines) };
    for separator in SEPARATORS {
        let names = header(first, separator).ok().filter(|names| names.len() > 1 && is_header(names));
        let names = names.unwrap_or_default();
        let with_separator = lines.iter().filter(|(_, line)| count_outside_quotes(line, separator) > 0).count();
        if with_separator * 2 > lines.len() || names.iter().any(|name| is_usual_name(name)) {
            return Err(ImportError::Unsuitable(Looks::Table { line, separator, columns: names }));
        }
    }
    Ok(Format::Lines)
}

fn json_array(lines: &[Line<'_>]) -> Option<Looks> {
    let &(line, first) = lines.first()?;
    let inside = first.strip_prefix(b"[")?.trim_ascii_start();
    let next = if inside.is_empty() { lines.get(1).map_or(&b"]"[..], |&(_, line)| line) } else { inside };
    matches!(next, [b'"' | b'{' | b'[' | b']', ..]).then(|| Looks::JsonArray { line, of_objects: next[0] == b'{' })
}

fn csv(text: &[u8], asked: &Asked) -> Result<Format, ImportError> {
    let (named, rows) = match separator_line(text) {
        Some((separator, length)) => (Some(separator), &text[length..]),
        None => (None, text),
    };
    let first_row = rows.split(|&byte| byte == b'\n').find(|row| !row.trim_ascii().is_empty()).unwrap_or_default();
    let delimiter = asked.delimiter.or(named);
    let likely = delimiter.unwrap_or_else(|| most_frequent(first_row));
    let Some(column) = asked.column.clone() else { return without_column(text, rows, likely) };
    if asked.no_header {
        return match column.parse() {
            Ok(number @ 1..) => Ok(Format::NumberedColumn { number, delimiter: likely }),
            _ => Err(ImportError::ColumnNotNumbered { column }),
        };
    }
    let has_column = |&delimiter: &u8| header(rows, delimiter).is_ok_and(|names| names.contains(&column));
    let delimiter = delimiter.or_else(|| SEPARATORS.into_iter().find(has_column)).unwrap_or(likely);
    Ok(Format::Column { name: column, delimiter })
}

/// Accepts only the program's own CSV: any other column has to be named.
fn without_column(text: &[u8], rows: &[u8], delimiter: u8) -> Result<Format, ImportError> {
    let columns = header(rows, delimiter)?;
    if columns == [OWN_HEADER] {
        return Ok(Format::Column { name: OWN_HEADER.to_owned(), delimiter });
    }
    let line = sample(rows, true).first().map_or(1, |&(line, _)| line) + u64::from(rows.len() < text.len());
    let columns = if is_header(&columns) { columns } else { Vec::new() };
    Err(ImportError::Unsuitable(Looks::Table { line, separator: delimiter, columns }))
}
