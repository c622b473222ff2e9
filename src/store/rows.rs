//! Rows of the tables and what they mean. The columns have the same names and meanings in both stores.

use chrono::{DateTime, Utc};
use sqlx::FromRow;
use uuid::Uuid;

use crate::job::{Job, JobError, Tally};
use crate::store::error::StoreError;

/// Reads jobs with their counts; conditions on `j` follow. Unfinished jobs add up their chunks.
pub(crate) const SELECT_JOBS: &str = "
    select j.no, j.id, j.mask, j.canonical_mask, j.count, j.campaign, j.state, j.generator_version, j.chunk_size, j.digest,
           j.error_code, j.error_message, j.created_at, j.started_at, j.finished_at,
           coalesce(j.minted, (select cast(sum(c.minted) as bigint) from chunks c where c.job_no = j.no), 0) as minted,
           coalesce(j.rejected, (select cast(sum(c.rejected) as bigint) from chunks c where c.job_no = j.no), 0) as rejected
      from jobs j";

#[derive(FromRow)]
pub(crate) struct JobRow {
    no: i64,
    id: Uuid,
    mask: String,
    canonical_mask: String,
    count: i64,
    campaign: Option<String>,
    state: String,
    generator_version: i32,
    chunk_size: i32,
    minted: i64,
    rejected: i64,
    digest: Option<Vec<u8>>,
    error_code: Option<String>,
    error_message: Option<String>,
    created_at: DateTime<Utc>,
    started_at: Option<DateTime<Utc>>,
    finished_at: Option<DateTime<Utc>>,
}

impl TryFrom<JobRow> for Job {
    type Error = StoreError;

    fn try_from(row: JobRow) -> Result<Self, StoreError> {
        let corrupt = |problem: String| StoreError::Corrupt { table: "jobs", problem };
        let error = row.error_code.map(|code| JobError { code, message: row.error_message.unwrap_or_default() });
        Ok(Self {
            no: row.no,
            id: row.id,
            mask: row.canonical_mask.parse().map_err(|error| corrupt(format!("{error}")))?,
            mask_text: row.mask,
            count: unsigned("jobs", row.count)?,
            campaign: row.campaign,
            state: row.state.parse().map_err(corrupt)?,
            generator_version: unsigned("jobs", row.generator_version)?,
            chunk_size: unsigned("jobs", row.chunk_size)?,
            minted: unsigned("jobs", row.minted)?,
            rejected: unsigned("jobs", row.rejected)?,
            digest: row.digest,
            error,
            created_at: row.created_at,
            started_at: row.started_at,
            finished_at: row.finished_at,
        })
    }
}

/// A chunk as it stands in the store.
#[derive(Clone, Debug, FromRow)]
pub struct Chunk {
    pub run_no: i64,
    #[sqlx(try_from = "i32")]
    pub round: u32,
    #[sqlx(try_from = "i32")]
    pub chunk_no: u32,
    pub range_first: String,
    pub range_last: String,
    #[sqlx(try_from = "i32")]
    pub quota: u32,
    /// `open`, `done` or `skipped`
    pub state: String,
    #[sqlx(try_from = "i32")]
    pub minted: u32,
    pub digest: Option<Vec<u8>>,
}

/// What [`Chunk`] is read from; conditions follow.
pub(crate) const SELECT_CHUNKS: &str =
    "select run_no, round, chunk_no, range_first, range_last, quota, state, minted, digest from chunks";

#[derive(FromRow)]
pub(crate) struct TallyRow {
    pub open: i64,
    pub minted: i64,
    pub rejected: i64,
    pub last_round: i32,
    pub last_round_minted: i64,
}

impl TallyRow {
    pub(crate) fn checked(&self) -> Result<Tally, StoreError> {
        Ok(Tally {
            minted: unsigned("chunks", self.minted)?,
            rejected: unsigned("chunks", self.rejected)?,
            last_round: unsigned("chunks", self.last_round)?,
            last_round_minted: unsigned("chunks", self.last_round_minted)?,
        })
    }
}

/// Tables hold signed integers; every figure of ours is zero or more.
pub(crate) fn unsigned<S, U: TryFrom<S>>(table: &'static str, number: S) -> Result<U, StoreError>
where
    S: Copy + std::fmt::Display,
{
    U::try_from(number).map_err(|_| StoreError::Corrupt { table, problem: format!("{number} is negative") })
}
