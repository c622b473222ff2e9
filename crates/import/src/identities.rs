//! Lists of identities: one per line, or CSV with a column `identity`. A list is held in memory: about 28 bytes and its own
//! text for each identity.

use std::collections::HashSet;
use std::io::{self, BufRead, Read};

use csv::{ByteRecord, ReaderBuilder};
use sha2::{Digest, Sha256};

use codemint_codes::identity::{IDENTITY_LENGTH_MAX, IdentityDigest, IdentityKey, IdentityOrder, check_identity};

/// The maximum number of identities of a list.
pub const LIST_MAX: usize = 10_000_000;
/// The maximum number of bytes of all identities of a list together.
pub const LIST_BYTES_MAX: usize = 1 << 30;
/// More than any valid identity takes.
const LINE_MAX: u64 = 4096;
const FIRST_LINE_MAX: u64 = 64 * 1024;
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
/// The name of the column.
const COLUMN: &str = "identity";

/// The identities of a list, each once, ordered by their digests.
#[derive(Debug)]
pub struct IdentityList {
    text: Vec<u8>,
    entries: Vec<Entry>,
    pub counts: ListCounts,
}

/// How many rows a list has, and how many of them are left out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ListCounts {
    pub rows: u64,
    /// Rows whose identity was in an earlier row.
    pub repeated: u64,
    /// Rows without a valid identity.
    pub invalid: u64,
    /// Identities that have a code of the campaign already.
    pub bound: u64,
}

/// A row that is left out.
#[derive(Clone, Copy, Debug)]
pub struct LeftOut<'a> {
    pub line: u64,
    pub reason: &'static str,
    /// The identity; empty if it is not text.
    pub identity: &'a str,
}

/// Receives the rows that are left out.
pub type OnLeftOut<'a> = &'a mut dyn FnMut(LeftOut<'_>) -> io::Result<()>;

/// The reason why no list can be read.
#[derive(Debug, thiserror::Error)]
pub enum ListError {
    #[error("the list cannot be read: {0}")]
    Read(#[from] io::Error),
    #[error(
        "the first line has several columns and none is called `{COLUMN}`; add a header, or write one identity per line"
    )]
    NoColumn,
    #[error("the list has more than {LIST_MAX} identities or {LIST_BYTES_MAX} bytes; split it")]
    TooLarge,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    digest: IdentityDigest,
    start: u32,
    line: u32,
    length: u16,
}

impl IdentityList {
    /// Reads a list. What is left out is reported: rows without a valid identity, and repeated ones.
    ///
    /// # Errors
    /// If the list is too large, or its columns are not named.
    pub fn read(mut input: impl BufRead, key: &IdentityKey, on_left_out: OnLeftOut<'_>) -> Result<Self, ListError> {
        let mut first = Vec::new();
        input.by_ref().take(FIRST_LINE_MAX).read_until(b'\n', &mut first)?;
        if first.starts_with(BYTE_ORDER_MARK) {
            first.drain(..BYTE_ORDER_MARK.len());
        }
        let header = Header::of(&first)?;
        let input = io::Cursor::new(first).chain(input);
        let mut list = Self { text: Vec::new(), entries: Vec::new(), counts: ListCounts::default() };
        match header {
            Some(header) => list.read_columns(input, header, key, on_left_out)?,
            None => list.read_lines(input, key, on_left_out)?,
        }
        list.remove_repeated(on_left_out)?;
        Ok(list)
    }

    fn read_columns(
        &mut self,
        input: impl Read,
        header: Header,
        key: &IdentityKey,
        on_left_out: OnLeftOut<'_>,
    ) -> Result<(), ListError> {
        let mut rows = ReaderBuilder::new().delimiter(header.delimiter).flexible(true).from_reader(input);
        let mut row = ByteRecord::new();
        while rows.read_byte_record(&mut row).map_err(io::Error::from)? {
            let line = row.position().map_or(0, csv::Position::line);
            self.add(row.get(header.column).unwrap_or_default(), line, key, on_left_out)?;
        }
        Ok(())
    }

    fn read_lines(
        &mut self,
        mut input: impl BufRead,
        key: &IdentityKey,
        on_left_out: OnLeftOut<'_>,
    ) -> Result<(), ListError> {
        let mut bytes = Vec::new();
        for line in 1.. {
            bytes.clear();
            if input.by_ref().take(LINE_MAX).read_until(b'\n', &mut bytes)? == 0 {
                break;
            }
            self.add(&bytes, line, key, on_left_out)?;
            if bytes.len() as u64 == LINE_MAX && !bytes.ends_with(b"\n") {
                skip_line(&mut input)?;
            }
        }
        Ok(())
    }

    fn add(&mut self, field: &[u8], line: u64, key: &IdentityKey, on_left_out: OnLeftOut<'_>) -> Result<(), ListError> {
        self.counts.rows += 1;
        let text = std::str::from_utf8(field);
        let identity = match text.map(check_identity) {
            Ok(Ok(identity)) => identity,
            wrong => {
                self.counts.invalid += 1;
                let reason = match wrong {
                    Err(_not_utf8) => "not UTF-8",
                    Ok(_) if text.unwrap_or_default().trim().is_empty() => "empty",
                    Ok(_) if text.unwrap_or_default().trim().chars().count() > IDENTITY_LENGTH_MAX => "too long",
                    Ok(_) => "control characters",
                };
                return Ok(on_left_out(LeftOut { line, reason, identity: text.unwrap_or_default() })?);
            }
        };
        if self.entries.len() == LIST_MAX || self.text.len() + identity.len() > LIST_BYTES_MAX {
            return Err(ListError::TooLarge);
        }
        let (start, length) = (self.text.len() as u32, identity.len() as u16);
        self.text.extend_from_slice(identity.as_bytes());
        self.entries.push(Entry { digest: key.digest(identity), start, line: line as u32, length });
        Ok(())
    }

    fn remove_repeated(&mut self, on_left_out: OnLeftOut<'_>) -> Result<(), ListError> {
        self.entries.sort_unstable_by_key(|entry| (entry.digest, entry.start));
        let mut repeated: Vec<Entry> = Vec::new();
        self.entries.dedup_by(|later, earlier| {
            let is_repeated = later.digest == earlier.digest;
            if is_repeated {
                repeated.push(*later);
            }
            is_repeated
        });
        self.counts.repeated = repeated.len() as u64;
        for entry in repeated {
            on_left_out(LeftOut { line: entry.line.into(), reason: "repeated", identity: self.text_of(&entry) })?;
        }
        Ok(())
    }

    pub fn len(&self) -> usize {
        self.entries.len()
    }

    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Returns the SHA-256 over the digests in their order: lists of the same identities have the same.
    pub fn digest(&self) -> [u8; 32] {
        let mut digest = Sha256::new();
        self.entries.iter().for_each(|entry| digest.update(entry.digest.as_bytes()));
        digest.finalize().into()
    }

    /// Returns the digests in their order.
    pub fn digests(&self) -> impl Iterator<Item = IdentityDigest> {
        self.entries.iter().map(|entry| entry.digest)
    }

    /// Leaves out identities that have a code of the campaign already.
    pub fn remove_bound(&mut self, bound: &HashSet<String>, on_left_out: OnLeftOut<'_>) -> Result<(), ListError> {
        if bound.is_empty() {
            return Ok(());
        }
        let (removed, kept) = self.entries.iter().partition(|entry| bound.contains(&entry.digest.to_string()));
        let removed: Vec<Entry> = removed;
        self.entries = kept;
        self.counts.bound = removed.len() as u64;
        for entry in removed {
            on_left_out(LeftOut {
                line: entry.line.into(),
                reason: "has a code already",
                identity: self.text_of(&entry),
            })?;
        }
        Ok(())
    }

    /// Orders the list as the codes of a job go to it.
    pub fn order(&mut self, order: &IdentityOrder) {
        self.entries.sort_by_cached_key(|entry| order.key_of(&entry.digest));
    }

    /// Returns pages of this many identities, one per line.
    pub fn pages(&self, places_in_page: usize) -> impl Iterator<Item = String> {
        self.entries.chunks(places_in_page).map(|entries| {
            let mut page = String::with_capacity(entries.iter().map(|entry| usize::from(entry.length) + 1).sum());
            for entry in entries {
                page.push_str(self.text_of(entry));
                page.push('\n');
            }
            page
        })
    }

    fn text_of(&self, entry: &Entry) -> &str {
        let start = entry.start as usize;
        // It was text when it was added.
        std::str::from_utf8(&self.text[start..start + usize::from(entry.length)]).unwrap_or_default()
    }
}

/// The column of a list in CSV.
#[derive(Clone, Copy)]
struct Header {
    delimiter: u8,
    column: usize,
}

impl Header {
    /// Returns `None` for a list of one identity per line.
    fn of(first_line: &[u8]) -> Result<Option<Self>, ListError> {
        let line = String::from_utf8_lossy(first_line);
        let line = line.trim_start_matches('\u{feff}').trim_end();
        for delimiter in [',', ';', '\t'] {
            let is_column = |name: &str| name.trim().trim_matches('"').eq_ignore_ascii_case(COLUMN);
            if let Some(column) = line.split(delimiter).position(is_column) {
                return Ok(Some(Self { delimiter: delimiter as u8, column }));
            }
        }
        if line.contains([',', ';', '\t']) { Err(ListError::NoColumn) } else { Ok(None) }
    }
}

/// Skips the rest of a line without holding it.
fn skip_line(input: &mut impl BufRead) -> io::Result<()> {
    loop {
        let bytes = input.fill_buf()?;
        let (length, is_end) = match bytes.iter().position(|byte| *byte == b'\n') {
            Some(at) => (at + 1, true),
            None => (bytes.len(), bytes.is_empty()),
        };
        input.consume(length);
        if is_end {
            return Ok(());
        }
    }
}
