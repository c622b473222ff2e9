//! Merges the sorted pieces of a file with a tournament tree, so that a record costs about log2(pieces) comparisons.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use crate::error::ImportError;
use crate::progress::{Progress, proceed};
use crate::record::{FRAME_BYTES, Record, record_at};
use crate::workspace::Workspace;

const RECORD_BYTES_MAX: usize = u8::MAX as usize + FRAME_BYTES;
/// The maximum number of bytes that are read at once from a piece.
const READ_BYTES_MAX: usize = 1 << 20;
/// The number of records between two calls of the progress callback.
const RECORDS_BETWEEN_QUESTIONS: u64 = 8192;

/// An ordered sequence of the records of several sorted pieces.
pub(crate) struct Merge {
    workspace: Workspace,
    file: Option<Arc<File>>,
    cursors: Vec<Cursor>,
    /// Place 0 holds the cursor of the smallest record, every other place the loser of the match played there. The
    /// places above place n are n/2, n/4 and so on; cursor c enters at place (c + number of cursors) / 2.
    tree: Vec<usize>,
    handed_out: u64,
}

impl Merge {
    pub fn nothing(workspace: Workspace) -> Self {
        Self { workspace, file: None, cursors: Vec::new(), tree: Vec::new(), handed_out: 0 }
    }

    pub fn open(workspace: Workspace, file: Arc<File>, pieces: Vec<Range<u64>>) -> Result<Self, ImportError> {
        let read_bytes = (workspace.buffer_bytes / pieces.len().max(1)).clamp(RECORD_BYTES_MAX, READ_BYTES_MAX);
        let cursors = pieces.into_iter().map(|piece| Cursor::new(piece, read_bytes));
        let mut merge = Self { cursors: cursors.collect(), file: Some(file), ..Self::nothing(workspace) };
        (0..merge.cursors.len()).try_for_each(|cursor| merge.advance(cursor))?;
        merge.play_all();
        Ok(merge)
    }

    /// Returns the next record. Calls `progress` now and then with the number of records so far.
    pub fn next(&mut self, progress: Progress<'_>) -> Result<Option<Record<'_>>, ImportError> {
        let Some(&last_winner) = self.tree.first() else { return Ok(None) };
        if self.handed_out > 0 {
            self.advance(last_winner)?;
            self.replay(last_winner);
        }
        if self.handed_out.is_multiple_of(RECORDS_BETWEEN_QUESTIONS) {
            proceed(progress, self.handed_out)?;
        }
        self.handed_out += 1;
        let bytes = self.cursors[self.tree[0]].record();
        Ok(if bytes.is_empty() { None } else { Some(Record { bytes }) })
    }

    fn advance(&mut self, cursor: usize) -> Result<(), ImportError> {
        let Some(file) = &self.file else { return Ok(()) };
        let advanced = self.cursors[cursor].advance(file);
        self.workspace.with_directory(advanced)
    }

    fn play_all(&mut self) {
        const NOBODY: usize = usize::MAX;
        self.tree = vec![NOBODY; self.cursors.len()];
        for cursor in 0..self.cursors.len() {
            let mut winner = cursor;
            let mut place = (cursor + self.cursors.len()) / 2;
            while place > 0 && self.tree[place] != NOBODY {
                self.play(place, &mut winner);
                place /= 2;
            }
            self.tree[place] = winner;
        }
    }

    /// Finds the smallest record again after the record of the last winner has changed.
    fn replay(&mut self, mut winner: usize) {
        let mut place = (winner + self.cursors.len()) / 2;
        while place > 0 {
            self.play(place, &mut winner);
            place /= 2;
        }
        self.tree[0] = winner;
    }

    fn play(&mut self, place: usize, winner: &mut usize) {
        if self.cursors[self.tree[place]].is_before(&self.cursors[*winner]) {
            std::mem::swap(&mut self.tree[place], winner);
        }
    }
}

/// A piece that is being read.
struct Cursor {
    buffer: Vec<u8>,
    /// The current record; empty before the first and after the last.
    record: Range<usize>,
    unread: Range<u64>,
    read_bytes: usize,
}

impl Cursor {
    fn new(unread: Range<u64>, read_bytes: usize) -> Self {
        Self { buffer: Vec::new(), record: 0..0, unread, read_bytes }
    }

    fn record(&self) -> &[u8] {
        &self.buffer[self.record.clone()]
    }

    /// Compares the current records. A cursor at its end comes after all others.
    fn is_before(&self, other: &Self) -> bool {
        match (self.record.is_empty(), other.record.is_empty()) {
            (false, false) => self.record() < other.record(),
            (at_end, _) => !at_end,
        }
    }

    fn advance(&mut self, file: &File) -> io::Result<()> {
        let start = self.record.end;
        let buffered = &self.buffer[start..];
        let whole = buffered.first().is_some_and(|&length| buffered.len() >= usize::from(length) + FRAME_BYTES);
        if !whole {
            self.refill(file)?;
        }
        let start = self.record.end;
        let length = if start < self.buffer.len() { record_at(&self.buffer, start).len() } else { 0 };
        self.record = start..start + length;
        Ok(())
    }

    /// Moves the remaining bytes to the front and reads more bytes behind them.
    fn refill(&mut self, file: &File) -> io::Result<()> {
        self.buffer.drain(..self.record.end);
        self.record = 0..0;
        let left = self.buffer.len();
        let unread_bytes = self.unread.end - self.unread.start;
        let wanted = unread_bytes.min((self.read_bytes - left) as u64) as usize;
        self.buffer.resize(left + wanted, 0);
        file.read_exact_at(&mut self.buffer[left..], self.unread.start)?;
        self.unread.start += wanted as u64;
        Ok(())
    }
}
