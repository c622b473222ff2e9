//! A list of identities, each of which is to get a code. It is held in memory: about 24 bytes and its own text for each
//! identity.

use std::collections::HashSet;
use std::io::{self, Read};

use sha2::{Digest, Sha256};

use crate::error::ImportError;
use crate::identities::{InvalidIdentity, each_identity};
use crate::progress::Progress;
use codemint_codes::identity::{IdentityDigest, IdentityKey, IdentityOrder};

/// The maximum number of identities of a list.
pub const LIST_MAX: usize = 10_000_000;
/// The maximum number of bytes of all identities of a list together.
pub const LIST_BYTES_MAX: usize = 1 << 30;
/// From this size on, glibc returns memory to the system as soon as it is freed; it may keep smaller blocks. A reserved page takes no
/// memory before something is written to it.
const RETURNED_BYTES_MIN: usize = 32 << 20;
/// The bits of a place that hold the number of an entry.
const NUMBER_BITS: u64 = (1 << 24) - 1;

/// The identities of a list, each once, ordered by their digests.
#[derive(Debug)]
pub struct IdentityList {
    key: IdentityKey,
    /// The identities as they were read, one per line.
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
    #[error(transparent)]
    Read(#[from] ImportError),
    #[error("the rows that are left out cannot be written: {0}")]
    LeftOut(#[from] io::Error),
    #[error("the list has more than {LIST_MAX} identities or {LIST_BYTES_MAX} bytes; split it")]
    TooLarge,
}

/// An identity of the list: 16 bytes, of which there may be ten million.
#[derive(Clone, Copy, Debug)]
struct Entry {
    /// The first half of its digest.
    prefix: u64,
    /// Where its text begins, which ends before the next end of line.
    start: u32,
    line: u32,
}

impl IdentityList {
    /// Reads a list. What is left out is reported: rows without a valid identity, and repeated ones.
    ///
    /// # Errors
    /// Those of [`each_identity`], and if the list is too large.
    pub fn read(
        input: impl Read,
        is_csv: bool,
        key: &IdentityKey,
        progress: Progress<'_>,
        on_left_out: OnLeftOut<'_>,
    ) -> Result<Self, ListError> {
        let (key, counts) = (key.clone(), ListCounts::default());
        let text = Vec::with_capacity(RETURNED_BYTES_MIN);
        let entries = Vec::with_capacity(RETURNED_BYTES_MIN / size_of::<Entry>());
        let mut list = Self { key, text, entries, counts };
        let mut failed = Ok(());
        each_identity(input, is_csv, progress, |line, identity| {
            if failed.is_ok() {
                failed = list.add(line, identity, on_left_out);
            }
        })?;
        failed?;
        list.remove_repeated(on_left_out)?;
        Ok(list)
    }

    fn add(
        &mut self,
        line: u64,
        identity: Result<&str, InvalidIdentity>,
        on_left_out: OnLeftOut<'_>,
    ) -> Result<(), ListError> {
        self.counts.rows += 1;
        let identity = match identity {
            Ok(identity) => identity,
            Err(reason) => {
                self.counts.invalid += 1;
                return Ok(on_left_out(LeftOut { line, reason: reason.into(), identity: "" })?);
            }
        };
        const { assert!(LIST_MAX as u64 <= NUMBER_BITS) };
        if self.entries.len() == LIST_MAX || self.text.len() + identity.len() > LIST_BYTES_MAX {
            return Err(ListError::TooLarge);
        }
        let start = self.text.len() as u32;
        self.text.extend_from_slice(identity.as_bytes());
        self.text.push(b'\n');
        self.entries.push(Entry { prefix: self.key.digest(identity).prefix(), start, line: line as u32 });
        Ok(())
    }

    fn remove_repeated(&mut self, on_left_out: OnLeftOut<'_>) -> Result<(), ListError> {
        self.entries.sort_unstable_by_key(|entry| (entry.prefix, entry.start));
        let text = &self.text;
        let mut repeated: Vec<Entry> = Vec::new();
        self.entries.dedup_by(|later, earlier| {
            let is_repeated = later.prefix == earlier.prefix && text_at(text, later) == text_at(text, earlier);
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

    /// Returns the SHA-256 over the first halves of the digests in their order: lists of the same identities have the same.
    pub fn digest(&self) -> [u8; 32] {
        let mut digest = Sha256::new();
        self.entries.iter().for_each(|entry| digest.update(entry.prefix.to_be_bytes()));
        digest.finalize().into()
    }

    /// Returns the digests in their order.
    pub fn digests(&self) -> impl Iterator<Item = IdentityDigest> {
        self.entries.iter().map(|entry| self.key.digest(self.text_of(entry)))
    }

    /// Leaves out identities that have a code of the campaign already.
    pub fn remove_bound(&mut self, bound: &HashSet<String>, on_left_out: OnLeftOut<'_>) -> Result<(), ListError> {
        if bound.is_empty() {
            return Ok(());
        }
        let is_bound = |entry: &&Entry| bound.contains(&self.key.digest(self.text_of(entry)).to_string());
        let (removed, kept) = self.entries.iter().partition(is_bound);
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

    /// Returns pages of this many identities, one per line, in the order in which the codes of a job go to them.
    pub fn pages(&self, order: &IdentityOrder, places_in_page: usize) -> impl Iterator<Item = String> {
        // The number of the entry in the low bits, which `LIST_MAX` leaves free, and of the key what fits above: the few that
        // share it are in the order of their digests, which says nothing about them either.
        let mut places: Vec<u64> = (0..)
            .zip(&self.entries)
            .map(|(number, entry)| order.key_of(entry.prefix) & !NUMBER_BITS | number & NUMBER_BITS)
            .collect();
        places.sort_unstable();
        let pages = places.len().div_ceil(places_in_page);
        (0..pages).map(move |page| {
            let places = places.iter().skip(page * places_in_page).take(places_in_page);
            let mut lines = String::new();
            for place in places {
                lines.push_str(self.text_of(&self.entries[(place & NUMBER_BITS) as usize]));
                lines.push('\n');
            }
            lines
        })
    }

    fn text_of(&self, entry: &Entry) -> &str {
        // It was text when it was added.
        std::str::from_utf8(text_at(&self.text, entry)).unwrap_or_default()
    }
}

/// Returns the text of an entry.
fn text_at<'a>(text: &'a [u8], entry: &Entry) -> &'a [u8] {
    let rest = &text[entry.start as usize..];
    rest.split(|byte| *byte == b'\n').next().unwrap_or_default()
}
