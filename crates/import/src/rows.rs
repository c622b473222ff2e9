//! Reads some columns of a CSV text with a header.

use std::io::{Cursor, Read};

use crate::columns::{each_row, header};
use crate::detect::{HEAD_BYTES, decoded, has_only_carriage_returns};
use crate::error::ImportError;
use crate::lines::Content;
use crate::looks::Looks;
use crate::progress::Progress;
use crate::separator::{SEPARATORS, most_frequent, separator_line};
use crate::source::Source;

/// The reason why a row cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidRow {
    #[error("the line is empty")]
    Empty,
    #[error("the row has no field for the first column")]
    NoField,
    #[error("the row has more fields than the header")]
    ExtraFields,
    #[error("a field is not UTF-8 text")]
    NotUtf8,
    #[error("a field is too long")]
    TooLong,
}

/// The reason why a text has not these columns.
#[derive(Debug, thiserror::Error)]
pub enum RowsError {
    #[error(transparent)]
    Read(#[from] ImportError),
    /// The first row may hold anything, so it is not repeated.
    #[error("the first row has no column {column}; write a header with the columns {columns}")]
    NoColumn { column: &'static str, columns: String },
    #[error("the header has {unknown} {}; its columns are {columns}", if *unknown == 1 { "unknown column" } else { "unknown columns" })]
    UnknownColumns { unknown: usize, columns: String },
    #[error("the header has the column {column} more than once; write it once")]
    Repeated { column: &'static str },
}

/// Passes the fields of these columns of every row to `take`, with the number of the line on which the row begins. The first column must
/// be there; a field is empty if its column is not. Columns may stand in any order; upper and lower case are the same, and so are commas,
/// semicolons and tabs between fields.
///
/// # Errors
/// If the input cannot be read, if its header has not the first column or has others than these, or if its quotation marks are not
/// closed; `Interrupted`.
///
/// ```
/// use std::ops::ControlFlow;
/// use codemint_import::rows::each_row_of;
///
/// let mut found = Vec::new();
/// let proceed = |_bytes| ControlFlow::Continue(());
/// each_row_of("Note;reference\nold;0123\n".as_bytes(), ["reference", "note", "promotion"], &proceed, |line, row| {
///     found.push((line, row.map(|fields| fields.map(str::to_owned))));
/// })?;
/// assert_eq!(found, [(2, Ok(["0123", "old", ""].map(str::to_owned)))]);
/// # Ok::<(), codemint_import::rows::RowsError>(())
/// ```
pub fn each_row_of<const N: usize>(
    mut input: impl Read,
    columns: [&'static str; N],
    progress: Progress<'_>,
    mut take: impl FnMut(u64, Result<[&str; N], InvalidRow>),
) -> Result<(), RowsError> {
    let mut head = Vec::new();
    let read = (&mut input).take(HEAD_BYTES as u64).read_to_end(&mut head);
    read.map_err(|source| ImportError::Read { bytes: head.len() as u64, source })?;
    let (delimiter, places) = places(&head, columns)?;
    let mut source = Source::open(Cursor::new(head).chain(input), progress)?;
    each_row(&mut source, &places, delimiter, |line, fields| {
        take(line, texts(fields));
        Ok(())
    })?;
    Ok(())
}

/// Returns the separator, and the place of each column in the header.
fn places<const N: usize>(head: &[u8], columns: [&'static str; N]) -> Result<(u8, [Option<usize>; N]), RowsError> {
    if let Some(looks) = Looks::of_first_bytes(head) {
        return Err(ImportError::Unsuitable(looks).into());
    }
    let text = decoded(head)?;
    if text.trim_ascii().is_empty() {
        return Err(no_column(columns));
    }
    if has_only_carriage_returns(&text) {
        return Err(ImportError::Unsuitable(Looks::CarriageReturns).into());
    }
    let first_row = text.split(|&byte| byte == b'\n').find(|row| !row.trim_ascii().is_empty()).unwrap_or_default();
    let named = separator_line(&text).map(|(separator, _length)| separator);
    let known = |names: &[String], column: &str| names.iter().filter(|name| is_named(name, column)).count();
    let has_first = |names: &Vec<String>| columns.first().is_some_and(|column| known(names, column) > 0);
    let mut headers = named
        .into_iter()
        .chain(SEPARATORS)
        .filter_map(|separator| Some((separator, header(&text[..], separator).ok()?)));
    let (separator, names) = match headers.find(|(_, names)| has_first(names)) {
        Some(found) => found,
        None => {
            let separator = named.unwrap_or_else(|| most_frequent(first_row));
            (separator, header(&text[..], separator)?)
        }
    };
    if !has_first(&names) {
        return Err(no_column(columns));
    }
    if let Some(column) = columns.into_iter().find(|column| known(&names, column) > 1) {
        return Err(RowsError::Repeated { column });
    }
    let is_unknown = |name: &&String| !columns.iter().any(|column| is_named(name, column));
    match names.iter().filter(is_unknown).count() {
        0 => Ok((separator, columns.map(|column| names.iter().position(|name| is_named(name, column))))),
        unknown => Err(RowsError::UnknownColumns { unknown, columns: columns.join(", ") }),
    }
}

fn no_column<const N: usize>(columns: [&'static str; N]) -> RowsError {
    RowsError::NoColumn { column: columns.first().copied().unwrap_or_default(), columns: columns.join(", ") }
}

fn is_named(name: &str, column: &str) -> bool {
    name.trim().eq_ignore_ascii_case(column)
}

fn texts<'a, const N: usize>(contents: [Content<'a>; N]) -> Result<[&'a str; N], InvalidRow> {
    let mut texts = [""; N];
    for (place, (text, content)) in texts.iter_mut().zip(contents).enumerate() {
        *text = match content {
            Content::Blank => return Err(InvalidRow::Empty),
            Content::NoField | Content::NotJson if place == 0 => return Err(InvalidRow::NoField),
            Content::NoField | Content::NotJson => "",
            Content::ExtraFields => return Err(InvalidRow::ExtraFields),
            Content::Text { is_cut_off: true, .. } => return Err(InvalidRow::TooLong),
            Content::Text { bytes, .. } => std::str::from_utf8(bytes).map_err(|_| InvalidRow::NotUtf8)?.trim(),
        };
    }
    Ok(texts)
}
