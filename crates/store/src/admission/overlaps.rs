//! What may already exist where a chunk draws: masks in use, runs that meet its slice, their filters, exact answers.
//!
//! All of it is read in a snapshot, outside the chunk's transaction, while the previous chunk is being written. The
//! unique index catches what other processes commit in between.

use std::sync::Arc;

use sqlx::FromRow;

use crate::connection::blocking::off_the_async_threads;
use crate::connection::error::{StoreError, reach};
use crate::connection::statement::List;
use crate::connection::transaction::StoreTransaction;
use crate::records::rows::unsigned;
use codemint_codes::batch::CodeBatch;
use codemint_codes::keyspace::{Keyspace, Rank};
use codemint_codes::mask::Mask;
use codemint_codes::prefilter::Filter;
use codemint_codes::slice::Slice;
use codemint_telemetry::failpoint;

/// Planner settings for look-ups, until the end of the transaction.
const LOOK_UP_SETTINGS: &str = "
    set local plan_cache_mode = force_generic_plan;
    set local enable_seqscan = off;
    set local enable_bitmapscan = off";

/// Reads those of these codes that exist, ascending.
pub(crate) const PRESENT: &str = "select code from codes where code = any($1) order by code";

/// A mask that jobs use, and how many codes these hold or may still mint.
#[derive(Clone, Debug)]
pub struct MaskInUse {
    pub mask_no: i64,
    pub mask: Mask,
    pub codes: u64,
}

/// A run of more than one code.
#[derive(Clone, Debug, FromRow)]
pub struct Run {
    pub run_no: i64,
    /// The first and last code of the run.
    pub range_first: String,
    pub range_last: String,
    #[sqlx(try_from = "i32")]
    pub minted: u32,
    /// The size of the filter; 0 without a filter, or with one that an earlier version wrote.
    #[sqlx(try_from = "i64")]
    pub filter_bytes: u64,
}

/// A range of codes, both ends included.
#[derive(Clone, Copy, Debug)]
pub struct CodeRange<'a> {
    pub first: &'a str,
    pub last: &'a str,
}

impl StoreTransaction {
    /// Returns the masks in use of this length whose codes may lie in the range.
    pub async fn find_masks_in_use(&mut self, range: CodeRange<'_>) -> Result<Vec<MaskInUse>, StoreError> {
        const SQL: &str = "
            select mask_no, mask, codes from masks
             where code_length = $1 and first_code <= $3 and last_code >= $2
             order by mask_no";
        let CodeRange { first, last } = range;
        let query = self.query(SQL).bind(first.len() as i32).bind(first).bind(last);
        let rows: Vec<(i64, String, i64)> = query.fetch_all().await?;
        let corrupt = |error| StoreError::Corrupt { table: "masks", problem: format!("{error}") };
        let in_use = |(mask_no, mask, codes): (i64, String, i64)| {
            Ok(MaskInUse { mask_no, mask: Mask::describing(&mask).map_err(corrupt)?, codes: unsigned("masks", codes)? })
        };
        rows.into_iter().map(in_use).collect()
    }

    /// Returns at most `limit` runs of these masks that overlap the range; runs with a single code are left out.
    pub async fn find_runs(
        &mut self,
        mask_nos: &[i64],
        range: CodeRange<'_>,
        limit: u64,
    ) -> Result<Vec<Run>, StoreError> {
        const SQL: &str = "
            select run_no, range_first, range_last, minted,
                   cast(case when substr(filter, 1, 1) = $5 then length(filter) else 0 end as bigint) as filter_bytes
              from chunks
             where mask_no = any($1) and minted > 0 and range_first < range_last
               and range_first <= $3 and range_last >= $2
             limit $4";
        let CodeRange { first, last } = range;
        let query = self.query(SQL).bind(List(mask_nos)).bind(first).bind(last).bind(limit as i64);
        query.bind(&[Filter::FORMAT][..]).fetch_all().await
    }

    /// Returns those codes in the range that are single-code runs of these masks, ascending, at most `limit`. A row of
    /// `chunks` holds such a code, so `codes` is not read.
    pub async fn find_single_codes(
        &mut self,
        mask_nos: &[i64],
        range: CodeRange<'_>,
        limit: u64,
    ) -> Result<Vec<String>, StoreError> {
        const SQL: &str = "
            select range_first
              from chunks
             where mask_no = any($1) and minted > 0 and range_first = range_last
               and range_first between $2 and $3
             order by range_first
             limit $4";
        let CodeRange { first, last } = range;
        self.query(SQL).bind(List(mask_nos)).bind(first).bind(last).bind(limit as i64).fetch_values().await
    }

    /// Returns the stored filters of these runs, in one query. A run without a filter is left out.
    pub async fn read_filters(&mut self, run_nos: &[i64]) -> Result<Vec<(i64, Vec<u8>)>, StoreError> {
        reach(failpoint::FILTERS_LOADING).await?;
        const SQL: &str = "select run_no, filter from chunks where run_no = any($1) and filter is not null";
        self.query(SQL).bind(List(run_nos)).fetch_all().await
    }

    /// Returns the given codes that already exist in the store, ascending.
    ///
    /// PostgreSQL by itself would rather read a table of millions from end to end than look up tens of thousands, which
    /// takes many times as long, and would plan at length; the settings make it look up each code, with a plan that is
    /// made once. This includes look-ups of a few codes: a plan made while the table was empty would read all of it
    /// when it no longer is.
    pub async fn find_present(&mut self, codes: &CodeBatch) -> Result<Vec<String>, StoreError> {
        let wanted: Vec<&str> = codes.iter().collect();
        if self.is_distributed() {
            return self.find_present_at_nodes(&wanted).await;
        }
        self.plan_look_ups().await?;
        self.query(PRESENT).bind(List(&wanted)).fetch_values().await
    }

    /// Makes PostgreSQL look codes up by the primary key, until the end of the transaction. The settings would not reach
    /// nodes, and there a plan for unknown values cannot be made.
    pub(crate) async fn plan_look_ups(&mut self) -> Result<(), StoreError> {
        match self {
            Self::Postgres(session) if !session.is_distributed() => session.execute_text(LOOK_UP_SETTINGS).await,
            _ => Ok(()),
        }
    }

    /// Returns the codes of these ranks that are in the store, one per line, and perhaps others that lie between them.
    /// Where very many others lie between, each code of the ranks is looked up: a neighbour's size then costs nothing.
    pub async fn read_page(&mut self, keyspace: &Arc<Keyspace>, page: Slice) -> Result<String, StoreError> {
        let (first, last) = page.range(keyspace);
        if let Some(lines) = self.read_range(CodeRange { first: &first, last: &last }, page.length as u64).await? {
            return Ok(lines);
        }
        let keyspace = Arc::clone(keyspace);
        let batch = off_the_async_threads(move || {
            let ranks: Vec<Rank> = (page.start..page.start + page.length).collect();
            keyspace.batch(&ranks)
        });
        Ok(self.find_present(&batch.await).await?.join("\n"))
    }

    /// Returns all codes in a range, of any mask, ascending, one per line; `None` if there are more than `limit`.
    async fn read_range(&mut self, range: CodeRange<'_>, limit: u64) -> Result<Option<String>, StoreError> {
        const SQL: &str = "
            select count(*), string_agg(code, $4)
              from (select code from codes where code between $1 and $2 order by code limit $3) ordered";
        const ROWS: &str = "select code from codes where code between $1 and $2 order by code limit $3";
        let CodeRange { first, last } = range;
        let most = limit as i64 + 1;
        if self.is_distributed() {
            // As in `read_codes`: only rows keep their order.
            let codes: Vec<String> = self.query(ROWS).bind(first).bind(last).bind(most).fetch_values().await?;
            return Ok(((codes.len() as i64) < most).then(|| codes.join("\n")));
        }
        let query = self.query(SQL).bind(first).bind(last).bind(most).bind("\n");
        let (count, lines): (i64, Option<String>) = query.fetch_one().await?;
        Ok((count < most).then(|| lines.unwrap_or_default()))
    }
}
