//! Rows of the tables and their meaning. The columns have the same names and meanings in both stores.

use chrono::{DateTime, Utc};
use sqlx::FromRow;
use uuid::Uuid;

use crate::connection::error::StoreError;
use crate::minting::chunks::{CHUNK_COLUMNS, OpenChunk};
use codemint_codes::job::options::JobOptions;
use codemint_codes::job::plan::Tally;
use codemint_codes::job::record::{Job, Origin, Rejections};
use codemint_codes::job::restriction::RestrictedTo;
use codemint_codes::job::state::JobError;
use codemint_codes::policy::PolicyMarks;

/// Returns the statement that reads jobs `j` with their counts; those of unfinished jobs are sums over their chunks.
///
/// The groups are made in the order of the primary key, so that a limit ends them early. The chunks of a job that has
/// ended, whose counts are its own, are not read: the null key finds none.
pub(crate) fn select_jobs(conditions: &str, order: &str) -> String {
    format!(
        "select j.no, j.id, j.mask, j.canonical_mask, j.source_digest, j.count, j.campaign, j.priority, j.announced,
                j.reply_to, j.correlation_id, j.traceparent, j.restricted_to, j.list_id, j.state, j.waits_for, j.generator_version, j.chunk_size,
                j.check_fingerprint, j.deny_digest, j.digest, j.error_code, j.error_message,
                j.created_at, j.started_at, j.finished_at,
                coalesce(j.minted, cast(sum(c.minted) as bigint), 0) as minted,
                coalesce(j.rejected, cast(sum(c.rejected) as bigint), 0) as rejected,
                coalesce(j.conflicts, cast(sum(c.conflicts) as bigint), 0) as conflicts,
                coalesce(j.reserved, cast(sum(c.reserved) as bigint), 0) as reserved,
                coalesce(j.denied, cast(sum(c.denied) as bigint), 0) as denied,
                coalesce(j.false_positives, cast(sum(c.false_positives) as bigint), 0) as false_positives
           from jobs j
           left join chunks c on c.job_no = case when j.minted is null then j.no end
          where {conditions}
          group by j.no
          {order}"
    )
}

#[derive(FromRow)]
pub(crate) struct JobRow {
    no: i64,
    id: Uuid,
    mask: Option<String>,
    canonical_mask: Option<String>,
    source_digest: Option<Vec<u8>>,
    count: i64,
    campaign: Option<String>,
    #[sqlx(try_from = "i16")]
    priority: u8,
    announced: bool,
    reply_to: Option<String>,
    correlation_id: Option<String>,
    traceparent: Option<String>,
    restricted_to: Option<String>,
    list_id: Option<Uuid>,
    state: String,
    waits_for: Option<String>,
    generator_version: i32,
    chunk_size: i32,
    check_fingerprint: Option<String>,
    deny_digest: Option<Vec<u8>>,
    minted: i64,
    #[sqlx(flatten)]
    rejections: RejectionsRow,
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
        let origin = match (row.mask, row.canonical_mask, row.source_digest) {
            (Some(mask_text), Some(canonical), None) => {
                let mask = canonical.parse().map_err(|error| corrupt(format!("{error}")))?;
                Origin::Minted { mask_text, mask }
            }
            (Some(mask_text), None, None) => Origin::Refused { mask_text },
            (None, None, Some(source_digest)) => Origin::Imported { source_digest },
            _ => return Err(corrupt("a job is neither minted nor imported".to_owned())),
        };
        let code = row.error_code.map(current_code);
        let error = code.map(|code| JobError { code, message: row.error_message.unwrap_or_default() });
        Ok(Self {
            no: row.no,
            id: row.id,
            origin,
            count: unsigned("jobs", row.count)?,
            campaign: row.campaign,
            options: JobOptions {
                priority: row.priority,
                emits_events: row.announced,
                reply_to: row.reply_to,
                correlation_id: row.correlation_id,
                traceparent: row.traceparent,
                restricted_to: restriction_of(row.restricted_to.as_deref(), row.list_id).map_err(corrupt)?,
                ..JobOptions::default()
            },
            state: row.state.parse().map_err(corrupt)?,
            waits_for: row.waits_for,
            generator_version: unsigned("jobs", row.generator_version)?,
            chunk_size: unsigned("jobs", row.chunk_size)?,
            policy_marks: PolicyMarks { check_fingerprint: row.check_fingerprint, deny_digest: row.deny_digest },
            minted: unsigned("jobs", row.minted)?,
            rejections: row.rejections.checked("jobs")?,
            digest: row.digest,
            error,
            created_at: row.created_at,
            started_at: row.started_at,
            finished_at: row.finished_at,
        })
    }
}

/// Returns where the codes of a job go, from its row.
pub(crate) fn restriction_of(name: Option<&str>, list_id: Option<Uuid>) -> Result<Option<RestrictedTo>, String> {
    match (name, list_id) {
        (None, None) => Ok(None),
        (Some("pool"), None) => Ok(Some(RestrictedTo::Pool)),
        (Some("list"), Some(list_id)) => Ok(Some(RestrictedTo::List { list_id })),
        (name, _) => Err(format!("a job is restricted to {name:?}")),
    }
}

/// Returns the current code of an error: earlier versions stored `no_room` for `insufficient_keyspace`.
fn current_code(code: String) -> String {
    if code == "no_room" { JobError::INSUFFICIENT_KEYSPACE.to_owned() } else { code }
}

/// The columns that count why candidates did not become codes. `rejected` is the total.
#[derive(Clone, Copy, Debug, FromRow)]
pub(crate) struct RejectionsRow {
    pub rejected: i64,
    pub conflicts: i64,
    pub reserved: i64,
    pub denied: i64,
    pub false_positives: i64,
}

impl RejectionsRow {
    fn checked(self, table: &'static str) -> Result<Rejections, StoreError> {
        Ok(Rejections {
            existing: unsigned(table, self.rejected - self.conflicts - self.reserved - self.denied)?,
            conflicts: unsigned(table, self.conflicts)?,
            reserved: unsigned(table, self.reserved)?,
            denied: unsigned(table, self.denied)?,
            false_positives: unsigned(table, self.false_positives)?,
        })
    }
}

/// A chunk in the store.
#[derive(Clone, Debug, FromRow)]
pub struct Chunk {
    #[sqlx(flatten)]
    pub planned: OpenChunk,
    /// `open`, `done` or `skipped`
    pub state: String,
    #[sqlx(try_from = "i32")]
    pub minted: u32,
    pub digest: Option<Vec<u8>>,
    /// The mask of its codes: that of the job, or of one run of an import.
    pub mask: String,
}

/// Returns the statement that reads [`Chunk`]s `c`.
pub(crate) fn select_chunks(conditions: &str, order: &str) -> String {
    format!(
        "select {CHUNK_COLUMNS}, c.state, c.minted, c.digest, m.mask
           from chunks c
           join masks m on m.mask_no = c.mask_no
          where {conditions}
          {order}"
    )
}

#[derive(FromRow)]
pub(crate) struct TallyRow {
    pub open: i64,
    pub minted: i64,
    #[sqlx(flatten)]
    pub rejections: RejectionsRow,
    pub last_round: i32,
    pub last_round_minted: i64,
}

impl TallyRow {
    pub(crate) fn checked(&self) -> Result<Tally, StoreError> {
        Ok(Tally {
            minted: unsigned("chunks", self.minted)?,
            imported_before: 0,
            last_round: unsigned("chunks", self.last_round)?,
            last_round_minted: unsigned("chunks", self.last_round_minted)?,
        })
    }
}

/// Converts a number of a table: tables hold signed integers, but all our numbers are zero or more.
pub(crate) fn unsigned<S, U: TryFrom<S>>(table: &'static str, number: S) -> Result<U, StoreError>
where
    S: Copy + std::fmt::Display,
{
    U::try_from(number).map_err(|_| StoreError::Corrupt { table, problem: format!("{number} is negative") })
}
