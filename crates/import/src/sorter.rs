//! An external merge sort of records.

use std::fs::File;
use std::io::{BufWriter, IntoInnerError, Write};
use std::ops::Range;
use std::sync::Arc;

use crate::error::ImportError;
use crate::merge::Merge;
use crate::progress::Progress;
use crate::record::{FRAME_BYTES, record_at};
use crate::workspace::Workspace;

const WRITE_BUFFER_BYTES: usize = 128 * 1024;

/// Collects records; sorts and writes them whenever the buffer is full.
pub(crate) struct Sorter {
    workspace: Workspace,
    records: Vec<u8>,
    entries: Vec<Entry>,
    spilled: Option<PieceWriter>,
    pushed: u64,
}

/// The place of a record, and the bytes in which it is likely to differ from its neighbours.
struct Entry {
    prefix: u64,
    offset: usize,
}

impl Sorter {
    pub fn new(workspace: Workspace) -> Self {
        Self { workspace, records: Vec::new(), entries: Vec::new(), spilled: None, pushed: 0 }
    }

    /// Returns the number of records that were pushed.
    pub fn len(&self) -> u64 {
        self.pushed
    }

    /// Adds a record; its key must have at most 255 bytes.
    pub fn push(&mut self, key: &[u8], number: u64) -> Result<(), ImportError> {
        let bytes_after = self.records.len() + FRAME_BYTES + key.len() + (self.entries.len() + 1) * size_of::<Entry>();
        if bytes_after > self.workspace.buffer_bytes {
            self.spill()?;
        }
        self.entries.push(Entry { prefix: 0, offset: self.records.len() });
        self.records.push(key.len() as u8);
        self.records.extend_from_slice(key);
        self.records.extend_from_slice(&number.to_be_bytes());
        self.pushed += 1;
        Ok(())
    }

    /// Returns everything that was pushed, in order.
    pub fn finish(mut self, progress: Progress<'_>) -> Result<Merge, ImportError> {
        self.spill()?;
        let Self { workspace, records, entries, spilled, .. } = self;
        // Frees this memory for the merge.
        drop((records, entries));
        let Some(spilled) = spilled else { return Ok(Merge::nothing(workspace)) };
        let mut pieces = spilled.finish()?;
        while pieces.ranges.len() > workspace.pieces_merged_max.max(2) {
            pieces = merge_groups(&workspace, &pieces, progress)?;
        }
        Merge::open(workspace, pieces.file, pieces.ranges)
    }

    fn spill(&mut self) -> Result<(), ImportError> {
        if self.entries.is_empty() {
            return Ok(());
        }
        sort(&self.records, &mut self.entries);
        let mut writer = match self.spilled.take() {
            Some(writer) => writer,
            None => PieceWriter::new(&self.workspace)?,
        };
        for entry in &self.entries {
            writer.append(record_at(&self.records, entry.offset))?;
        }
        writer.end_piece();
        self.spilled = Some(writer);
        self.records.clear();
        self.entries.clear();
        Ok(())
    }
}

/// Sorts the entries. Most comparisons are of two integers: the eight bytes after what all records have in common, such
/// as the literal start of a mask.
fn sort(records: &[u8], entries: &mut [Entry]) {
    let first = record_at(records, 0);
    let in_common = entries.iter().fold(first.len(), |so_far, entry| {
        let other = record_at(records, entry.offset);
        first[..so_far].iter().zip(other).take_while(|(a, b)| a == b).count()
    });
    for entry in entries.iter_mut() {
        entry.prefix = prefix(&record_at(records, entry.offset)[in_common..]);
    }
    entries.sort_unstable_by(|a, b| {
        let whole = || record_at(records, a.offset).cmp(record_at(records, b.offset));
        a.prefix.cmp(&b.prefix).then_with(whole)
    });
}

/// Returns the first bytes as an integer of the same order, with zeros for missing bytes.
fn prefix(bytes: &[u8]) -> u64 {
    let mut start = [0; 8];
    let length = bytes.len().min(start.len());
    start[..length].copy_from_slice(&bytes[..length]);
    u64::from_be_bytes(start)
}

/// Makes one pass: groups of pieces become pieces of a new file. The old file is freed when the pass is done.
fn merge_groups(workspace: &Workspace, pieces: &Pieces, progress: Progress<'_>) -> Result<Pieces, ImportError> {
    let mut writer = PieceWriter::new(workspace)?;
    for group in pieces.ranges.chunks(workspace.pieces_merged_max.max(2)) {
        let mut merge = Merge::open(workspace.clone(), Arc::clone(&pieces.file), group.to_vec())?;
        while let Some(record) = merge.next(progress)? {
            writer.append(record.bytes)?;
        }
        writer.end_piece();
    }
    writer.finish()
}

/// The sorted pieces of one file.
struct Pieces {
    file: Arc<File>,
    ranges: Vec<Range<u64>>,
}

struct PieceWriter {
    workspace: Workspace,
    file: BufWriter<File>,
    ranges: Vec<Range<u64>>,
    piece_start: u64,
    offset: u64,
}

impl PieceWriter {
    fn new(workspace: &Workspace) -> Result<Self, ImportError> {
        let file = BufWriter::with_capacity(WRITE_BUFFER_BYTES, workspace.file()?);
        Ok(Self { workspace: workspace.clone(), file, ranges: Vec::new(), piece_start: 0, offset: 0 })
    }

    fn append(&mut self, record: &[u8]) -> Result<(), ImportError> {
        self.offset += record.len() as u64;
        self.workspace.with_directory(self.file.write_all(record))
    }

    fn end_piece(&mut self) {
        self.ranges.push(self.piece_start..self.offset);
        self.piece_start = self.offset;
    }

    fn finish(self) -> Result<Pieces, ImportError> {
        let file = self.workspace.with_directory(self.file.into_inner().map_err(IntoInnerError::into_error))?;
        Ok(Pieces { file: Arc::new(file), ranges: self.ranges })
    }
}

#[cfg(test)]
mod tests {
    use super::{Entry, prefix, record_at, sort};

    #[test]
    fn prefixes_have_the_order_of_their_bytes() {
        let texts: [&[u8]; 6] = [b"", b"A", b"AA", b"AB", b"ABCDEFGH", b"B"];
        assert!(texts.map(prefix).is_sorted());
        assert_eq!(prefix(b"ABCDEFGH1"), prefix(b"ABCDEFGH2"), "the ninth byte does not count");
    }

    #[test]
    fn records_are_sorted_by_length_then_key_then_number() {
        let keys: [(&[u8], u64); 5] = [(b"PROMO-B", 1), (b"PROMO-A", 9), (b"PROMO-A", 2), (b"Z", 5), (b"PROMO-AA", 3)];
        let (mut records, mut entries) = (Vec::new(), Vec::new());
        for (key, number) in keys {
            entries.push(Entry { prefix: 0, offset: records.len() });
            records.push(key.len() as u8);
            records.extend_from_slice(key);
            records.extend_from_slice(&number.to_be_bytes());
        }
        sort(&records, &mut entries);
        let sorted: Vec<u8> =
            entries.iter().filter_map(|entry| record_at(&records, entry.offset).last().copied()).collect();
        assert_eq!(sorted, [5, 2, 9, 1, 3]);
    }
}
