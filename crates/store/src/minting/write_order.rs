//! The order in which the codes of a chunk go into the unique index.
//!
//! At the right edge of a B-tree, PostgreSQL splits a full page where the new row is, and leaves full pages behind.
//! Anywhere else it splits in the middle: ascending codes leave half of each page empty permanently. Where the index
//! has codes to the right of a chunk, the chunk is therefore written in two ascending passes; the second fills the
//! pages that the first left half full. docs/performance.md has the measurements.

use std::ops::Range;

use crate::connection::error::StoreError;
use crate::connection::statement::List;
use crate::connection::transaction::StoreTransaction;

pub(crate) const ROW: usize = 11;
/// The number of codes in a row that fill the halves which page splits leave.
const FIRST_PASS: usize = 6;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WriteOrder {
    Ascending,
    /// Only where no other process writes the same codes: two writers could each wait for a code of the other.
    TwoPasses,
}

impl WriteOrder {
    /// Returns which of every eleven consecutive codes each pass takes.
    pub(crate) const fn passes(self) -> &'static [Range<usize>] {
        match self {
            Self::Ascending => std::slice::from_ref(const { &(0..ROW) }),
            Self::TwoPasses => &[0..FIRST_PASS, FIRST_PASS..ROW],
        }
    }
}

impl StoreTransaction {
    /// Chooses the order for a chunk of this job whose codes all lie below `last_code`, where no run meets them.
    /// `mask_nos` are the masks that could produce the same codes.
    pub async fn find_write_order(
        &mut self,
        job_no: i64,
        mask_nos: &[i64],
        last_code: &str,
    ) -> Result<WriteOrder, StoreError> {
        const RIVALS: &str = "
            select exists (
                select from jobs
                 where state in ('queued', 'running', 'cancelling') and no <> $1
                   and (kind = 'import' or mask_no = any($2)))";
        const BEHIND: &str = "select code from codes where code > $1 order by code limit 1";
        if let Self::Sqlite(_) = self {
            // SQLite shares a full page's rows with the neighbouring pages: the order changes nothing.
            return Ok(WriteOrder::Ascending);
        }
        if self.query(RIVALS).bind(job_no).bind(List(mask_nos)).fetch_value().await? {
            return Ok(WriteOrder::Ascending);
        }
        let behind: Option<(String,)> = self.query(BEHIND).bind(last_code).fetch_optional().await?;
        Ok(if behind.is_some() { WriteOrder::TwoPasses } else { WriteOrder::Ascending })
    }
}
