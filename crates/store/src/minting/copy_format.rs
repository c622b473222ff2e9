//! Rows for PostgreSQL's `COPY`: <https://www.postgresql.org/docs/15/sql-copy.html>, "Binary Format".

use chrono::{Datelike, NaiveDate};

/// The days from the first of the year 1 to that of the year 2000, both included.
const FIRST_DAY: i32 = 730_120;
const SIGNATURE_FLAGS_EXTENSION: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
const END: [u8; 2] = (-1_i16).to_be_bytes();

/// Rows that are being encoded.
pub(crate) struct CopyRows(Vec<u8>);

impl CopyRows {
    /// `row_bytes` are those of all rows together: at the size of a chunk the allocator keeps each megabyte that it copies.
    pub fn with_capacity(row_bytes: usize) -> Self {
        let mut bytes = Vec::with_capacity(SIGNATURE_FLAGS_EXTENSION.len() + row_bytes + END.len());
        bytes.extend_from_slice(SIGNATURE_FLAGS_EXTENSION);
        Self(bytes)
    }

    /// Begins a row of this many fields. A row takes two bytes besides its fields.
    pub fn begin_row(&mut self, fields: i16) {
        self.0.extend_from_slice(&fields.to_be_bytes());
    }

    /// Adds a field, which takes four bytes besides its text.
    pub fn text(&mut self, text: &str) {
        self.0.extend_from_slice(&(text.len() as i32).to_be_bytes());
        self.0.extend_from_slice(text.as_bytes());
    }

    /// Adds a field, which takes twelve bytes.
    pub fn integer(&mut self, integer: i64) {
        self.0.extend_from_slice(&8_i32.to_be_bytes());
        self.0.extend_from_slice(&integer.to_be_bytes());
    }

    /// Adds a field, which takes eight bytes: the number of days since the year 2000.
    pub fn day(&mut self, day: NaiveDate) {
        self.0.extend_from_slice(&4_i32.to_be_bytes());
        self.0.extend_from_slice(&(day.num_days_from_ce() - FIRST_DAY).to_be_bytes());
    }

    pub fn finish(mut self) -> Vec<u8> {
        self.0.extend_from_slice(&END);
        self.0
    }
}

/// Encodes rows, at most `rows_at_once` in a piece. The pieces together are what `COPY` takes.
pub(crate) fn copy_pieces<R>(
    rows: impl Iterator<Item = R>,
    rows_at_once: usize,
    encode: impl Fn(&mut CopyRows, R),
) -> impl Iterator<Item = Vec<u8>> {
    let (mut rows, mut next) = (rows.peekable(), Some(CopyRows::with_capacity(0)));
    std::iter::from_fn(move || {
        let mut piece = next.take()?;
        rows.by_ref().take(rows_at_once).for_each(|row| encode(&mut piece, row));
        if rows.peek().is_none() {
            return Some(piece.finish());
        }
        next = Some(CopyRows(Vec::with_capacity(piece.0.len())));
        Some(piece.0)
    })
}
