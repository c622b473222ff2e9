//! Reads one column of a CSV input, in memory that does not grow with the length of a row.
//!
//! It uses the parser below the `csv` crate: that crate's reader keeps whole rows, however long, and its line numbers
//! are one too small after `\r\n`.

use std::io::Read;
use std::ops::ControlFlow;

use csv_core::ReadFieldResult;

use crate::error::ImportError;
use crate::lines::{BYTES_KEPT, Content, Place};
use crate::quotes::{QuoteCheck, Shape};
use crate::separator::separator_line;
use crate::source::Source;

/// The longest row, including line breaks in quotation marks: an unclosed mark would swallow the rest of the file.
pub const RECORD_BYTES_MAX: usize = 1 << 20;

/// The column that holds the codes.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Column<'a> {
    /// The column of this name in the header row.
    Named(&'a str),
    /// The column of this number, counted from 1, in rows without a header.
    Numbered(usize),
}

/// Returns the names of the columns, from the header row.
///
/// # Errors
/// If the input cannot be read or is empty, if its first row is longer than [`RECORD_BYTES_MAX`], or if quotation marks
/// in it are not closed properly.
pub fn header(input: impl Read, delimiter: u8) -> Result<Vec<String>, ImportError> {
    let mut source = Source::open(input, &|_bytes| ControlFlow::Continue(()))?;
    let mut rows = Rows::new(&mut source, delimiter);
    rows.skip_separator_line()?;
    rows.header()
}

/// Passes the column's field of every row to `take`, with the number of the line on which the row begins.
pub(crate) fn each_field<R: Read>(
    source: &mut Source<'_, R>,
    column: Column<'_>,
    delimiter: u8,
    mut take: impl FnMut(u64, Content<'_>) -> Result<(), ImportError>,
) -> Result<(), ImportError> {
    let mut rows = Rows::new(source, delimiter);
    rows.skip_separator_line()?;
    let (wanted, fields) = match column {
        Column::Named(name) => {
            let names = rows.header()?;
            let fields = names.len();
            (position_of(name, names)?, Some(fields))
        }
        Column::Numbered(number) => (number.saturating_sub(1), None),
    };
    rows.quotes.shape = fields.map(|fields| Shape { fields, wanted });
    loop {
        let line_before = rows.line_no;
        let another = rows.skip_line_ends()?;
        for line_no in line_before..rows.line_no {
            take(line_no, Content::Blank)?;
        }
        if !another {
            return Ok(());
        }
        let line_no = rows.line_no;
        let Row { fields: found, last_filled } = rows.read_row(wanted)?;
        // Without a header, the first row shows how many fields a row has.
        rows.quotes.shape.get_or_insert(Shape { fields: found, wanted });
        take(
            line_no,
            match fields {
                _ if found <= wanted => Content::NoField,
                Some(fields) if last_filled >= fields => Content::ExtraFields,
                _ => rows.content(),
            },
        )?;
    }
}

/// Passes the fields at these places of every row below the header to `take`, with the number of the line on which the row begins. A
/// place that is `None` holds nothing.
pub(crate) fn each_row<R: Read, const N: usize>(
    source: &mut Source<'_, R>,
    places: &[Option<usize>; N],
    delimiter: u8,
    mut take: impl FnMut(u64, [Content<'_>; N]) -> Result<(), ImportError>,
) -> Result<(), ImportError> {
    let mut rows = Rows::new(source, delimiter);
    rows.skip_separator_line()?;
    let fields = rows.header()?.len();
    rows.quotes.shape = Some(Shape { fields, wanted: places.first().copied().flatten().unwrap_or_default() });
    let mut kept: [KeptField; N] = std::array::from_fn(|_| KeptField::default());
    loop {
        let line_before = rows.line_no;
        let another = rows.skip_line_ends()?;
        for line_no in line_before..rows.line_no {
            take(line_no, [Content::Blank; N])?;
        }
        if !another {
            return Ok(());
        }
        let line_no = rows.line_no;
        let Row { last_filled, .. } = rows.read_fields(places, &mut kept)?;
        let content = |field| if last_filled >= fields { Content::ExtraFields } else { KeptField::content(field) };
        take(line_no, kept.each_ref().map(content))?;
    }
}

fn position_of(column: &str, found: Vec<String>) -> Result<usize, ImportError> {
    let column = column.to_owned();
    match found.iter().filter(|name| **name == column).count() {
        0 => Err(ImportError::ColumnMissing { column, found }),
        1 => Ok(found.iter().position(|name| *name == column).unwrap_or_default()),
        times => Err(ImportError::ColumnRepeated { column, times }),
    }
}

/// The fields of a row.
struct Row {
    fields: usize,
    /// The position of the last field that is not empty, counted from 0; 0 if all are empty.
    last_filled: usize,
}

/// A field that is kept while others of its row are read.
#[derive(Debug, Default)]
struct KeptField {
    bytes: Vec<u8>,
    length: usize,
    is_quoted: bool,
    is_there: bool,
}

impl KeptField {
    fn content(&self) -> Content<'_> {
        let place = if self.is_quoted { Place::Marked } else { Place::Field };
        match self.is_there {
            true => Content::Text { bytes: &self.bytes, is_cut_off: self.length > self.bytes.len(), place },
            false => Content::NoField,
        }
    }
}

struct Rows<'s, 'a, R> {
    source: &'s mut Source<'a, R>,
    parser: csv_core::Reader,
    quotes: QuoteCheck,
    field: Vec<u8>,
    /// The length of the field, of which only the first bytes are kept.
    field_length: usize,
    field_is_quoted: bool,
    /// The length of the field that is being read, wanted or not.
    read_length: usize,
    /// The line of the next byte, counted from 1.
    line_no: u64,
    /// True if a line feed that comes now belongs to the carriage return before it, which has been counted.
    after_carriage_return: bool,
    row_line_no: u64,
    row_bytes: usize,
}

impl<'s, 'a, R: Read> Rows<'s, 'a, R> {
    fn new(source: &'s mut Source<'a, R>, delimiter: u8) -> Self {
        let parser = csv_core::ReaderBuilder::new().delimiter(delimiter).build();
        Self {
            source,
            parser,
            quotes: QuoteCheck::new(delimiter),
            field: Vec::with_capacity(BYTES_KEPT),
            field_length: 0,
            field_is_quoted: false,
            read_length: 0,
            line_no: 1,
            after_carriage_return: false,
            row_line_no: 1,
            row_bytes: 0,
        }
    }

    /// Skips a line such as `sep=;` at the start of the input; the first bytes of an input come in one piece.
    fn skip_separator_line(&mut self) -> Result<(), ImportError> {
        if let Some((_separator, length)) = separator_line(self.source.fill()?) {
            self.source.consume(length);
            self.line_no += 1;
        }
        Ok(())
    }

    /// Returns the field that was read last.
    fn content(&self) -> Content<'_> {
        let place = if self.field_is_quoted { Place::Marked } else { Place::Field };
        Content::Text { bytes: &self.field, is_cut_off: self.field_length > self.field.len(), place }
    }

    fn header(&mut self) -> Result<Vec<String>, ImportError> {
        if !self.skip_line_ends()? {
            return Err(ImportError::Empty);
        }
        let mut names = Vec::new();
        let mut row_ended = false;
        while !row_ended {
            self.field.clear();
            row_ended = self.next_field(RECORD_BYTES_MAX)?;
            names.push(String::from_utf8_lossy(&self.field).into_owned());
        }
        Ok(names)
    }

    /// Reads a row, and leaves the wanted field in `field`, cut off after [`BYTES_KEPT`] bytes.
    fn read_row(&mut self, wanted: usize) -> Result<Row, ImportError> {
        (self.field_length, self.field_is_quoted) = (0, false);
        self.field.clear();
        let mut row = Row { fields: 0, last_filled: 0 };
        let mut row_ended = false;
        while !row_ended {
            let at = row.fields;
            row_ended = self.next_field(if at == wanted { BYTES_KEPT } else { 0 })?;
            if at == wanted {
                (self.field_length, self.field_is_quoted) = (self.read_length, self.quotes.is_quoted());
            }
            if self.read_length > 0 {
                row.last_filled = at;
            }
            row.fields += 1;
        }
        Ok(row)
    }

    /// Reads a row, and keeps the fields at these places, each cut off after [`BYTES_KEPT`] bytes.
    fn read_fields(&mut self, places: &[Option<usize>], kept: &mut [KeptField]) -> Result<Row, ImportError> {
        kept.iter_mut().for_each(|field| field.is_there = false);
        let mut row = Row { fields: 0, last_filled: 0 };
        let mut row_ended = false;
        while !row_ended {
            let at = row.fields;
            let wanted = places.iter().position(|place| *place == Some(at)).and_then(|place| kept.get_mut(place));
            self.field.clear();
            row_ended = self.next_field(if wanted.is_some() { BYTES_KEPT } else { 0 })?;
            if let Some(field) = wanted {
                field.bytes.clone_from(&self.field);
                (field.length, field.is_quoted, field.is_there) = (self.read_length, self.quotes.is_quoted(), true);
            }
            if self.read_length > 0 {
                row.last_filled = at;
            }
            row.fields += 1;
        }
        Ok(row)
    }

    /// Moves to the first byte of the next row; returns false at the end of the input. The parser skips blank lines
    /// too, but does not report how many.
    fn skip_line_ends(&mut self) -> Result<bool, ImportError> {
        loop {
            let bytes = self.source.fill()?;
            if bytes.is_empty() {
                return Ok(false);
            }
            let mut skipped = 0;
            for &byte in bytes.iter().take_while(|&&byte| byte == b'\n' || byte == b'\r') {
                skipped += 1;
                self.line_no += u64::from(byte == b'\r' || !self.after_carriage_return);
                self.after_carriage_return = byte == b'\r';
            }
            let another = skipped < bytes.len();
            self.source.consume(skipped);
            if another {
                (self.row_line_no, self.row_bytes) = (self.line_no, 0);
                return Ok(true);
            }
        }
    }

    /// Reads a field and adds its first bytes to `field`; returns true if the row ends with it.
    fn next_field(&mut self, bytes_kept: usize) -> Result<bool, ImportError> {
        self.read_length = 0;
        loop {
            let mut piece = [0; 256];
            let bytes = self.source.fill()?;
            if bytes.is_empty() {
                self.quotes.end()?;
            }
            let (result, consumed, length) = self.parser.read_field(bytes, &mut piece);
            self.quotes.check(&bytes[..consumed], self.line_no)?;
            let line_feeds = bytes[..consumed].iter().filter(|&&byte| byte == b'\n').count();
            let carriage_return = bytes[..consumed].last() == Some(&b'\r');
            self.source.consume(consumed);
            self.line_no += line_feeds as u64;
            self.row_bytes += consumed;
            self.read_length += length;
            if self.row_bytes > RECORD_BYTES_MAX {
                return Err(ImportError::RowTooLong { line: self.row_line_no, bytes_max: RECORD_BYTES_MAX });
            }
            self.field.extend_from_slice(&piece[..length.min(bytes_kept.saturating_sub(self.field.len()))]);
            match result {
                ReadFieldResult::InputEmpty | ReadFieldResult::OutputFull => {}
                ReadFieldResult::Field { record_end } => {
                    self.after_carriage_return = record_end && carriage_return;
                    self.line_no += u64::from(self.after_carriage_return);
                    return Ok(record_end);
                }
                ReadFieldResult::End => return Ok(true),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::position_of;
    use crate::error::ImportError;

    #[test]
    fn a_column_must_exist_once() {
        let names = || ["id", "code", "note", "note"].map(str::to_owned).to_vec();
        assert!(matches!(position_of("code", names()), Ok(1)));
        assert!(matches!(position_of("Code", names()), Err(ImportError::ColumnMissing { .. })));
        assert!(matches!(position_of("note", names()), Err(ImportError::ColumnRepeated { times: 2, .. })));
    }
}
