//! Queries about jobs, their chunks, and the codes of a chunk.

use uuid::Uuid;

use crate::connection::error::StoreError;
use crate::connection::postgres_transaction::Begin;
use crate::connection::store::Store;
use crate::minting::chunks::OpenChunk;
use crate::records::rows::{Chunk, JobRow, select_chunks, select_jobs, unsigned};
use codemint_codes::batch::CodeBatch;
use codemint_codes::job::record::Job;
use codemint_codes::job::request::Request;
use codemint_codes::job::state::State;
use codemint_codes::screening::Screening;

/// Begins a reading transaction in which PostgreSQL uses the index, which has a chunk's codes in order. By default the
/// planner reads a bitmap of the index's pages and sorts, which takes two to three times as long; with few codes in the
/// statistics it reads the whole table.
const READING_CODES: Begin = Begin {
    settings: &[
        ("plan_cache_mode", "force_generic_plan"),
        ("enable_seqscan", "off"),
        ("enable_bitmapscan", "off"),
        ("enable_sort", "off"),
    ],
    ..Begin::READING
};

/// The jobs to list, newest first.
#[derive(Clone, Debug, Default)]
pub struct JobFilter {
    pub state: Option<State>,
    pub campaign: Option<String>,
    /// Only jobs older than the one with this number.
    pub before_no: Option<i64>,
    pub limit: u32,
}

/// The condition of a [`JobFilter`].
const MATCHING: &str = "
    (cast($1 as text) is null or j.state = $1) and (cast($2 as text) is null or j.campaign = $2) and j.no < $3";

impl Store {
    /// Finds a job by its id.
    pub async fn find_job(&self, id: Uuid) -> Result<Option<Job>, StoreError> {
        let row: Option<JobRow> = self.query(select_jobs("j.id = $1", "")).bind(id).fetch_optional().await?;
        row.map(Job::try_from).transpose()
    }

    /// Finds a job by the store's own number.
    pub async fn find_job_by_no(&self, job_no: i64) -> Result<Option<Job>, StoreError> {
        let row: Option<JobRow> = self.query(select_jobs("j.no = $1", "")).bind(job_no).fetch_optional().await?;
        row.map(Job::try_from).transpose()
    }

    /// Lists the jobs that a worker can continue, by number and priority, in the order of their turns. Imports need
    /// their input, so only those to be cancelled are listed.
    pub async fn list_unfinished(&self, limit: u32) -> Result<Vec<(i64, u8)>, StoreError> {
        const SQL: &str = "
            select no, priority from jobs
             where state in ('queued', 'running', 'cancelling') and (kind in ('mint', 'restricted') or state = 'cancelling')
             order by priority desc, no
             limit $1";
        let rows: Vec<(i64, i16)> = self.query(SQL).bind(i64::from(limit)).fetch_all().await?;
        rows.into_iter().map(|(no, priority)| Ok((no, unsigned("jobs", priority)?))).collect()
    }

    /// Lists running jobs in the order of their turns. The index of unfinished jobs spares it those that have ended, and
    /// only the chunks of the listed ones are read.
    pub async fn list_running(&self, limit: u32) -> Result<Vec<Job>, StoreError> {
        const FIRST: &str = "
            j.no in (select no from jobs where state in ('queued', 'running', 'cancelling') and state = 'running'
                      order by priority desc, no limit $1)";
        let sql = select_jobs(FIRST, "order by j.priority desc, j.no");
        let rows: Vec<JobRow> = self.query(sql).bind(i64::from(limit)).fetch_all().await?;
        rows.into_iter().map(Job::try_from).collect()
    }

    pub async fn list_jobs(&self, filter: &JobFilter) -> Result<Vec<Job>, StoreError> {
        let query = self.query(select_jobs(MATCHING, "order by j.no desc limit $4"));
        let query = query.bind(filter.state.map(|state| state.into_str())).bind(&filter.campaign);
        let query = query.bind(filter.before_no.unwrap_or(i64::MAX)).bind(i64::from(filter.limit));
        let rows: Vec<JobRow> = query.fetch_all().await?;
        rows.into_iter().map(Job::try_from).collect()
    }

    /// Counts the jobs that match, without regard to the limit.
    pub async fn count_jobs(&self, filter: &JobFilter) -> Result<u64, StoreError> {
        let query = self.query(format!("select count(*) from jobs j where {MATCHING}"));
        let query = query.bind(filter.state.map(|state| state.into_str())).bind(&filter.campaign);
        let count: i64 = query.bind(filter.before_no.unwrap_or(i64::MAX)).fetch_value().await?;
        unsigned("jobs", count)
    }

    /// Returns the newest job with the same request that can be resumed.
    pub async fn find_unfinished_like(&self, request: &Request) -> Result<Option<Job>, StoreError> {
        const NEWEST: &str = "
            j.no = (select max(no) from jobs
                     where state in ('queued', 'running')
                       and canonical_mask = $1 and count = $2 and coalesce(campaign, '') = $3)";
        let query = self.query(select_jobs(NEWEST, "")).bind(request.mask.to_string()).bind(request.count as i64);
        // No campaign has an empty name.
        let campaign = request.campaign.as_deref().unwrap_or_default();
        let row: Option<JobRow> = query.bind(campaign).fetch_optional().await?;
        row.map(Job::try_from).transpose()
    }

    /// Lists the chunks of a job in order of round and number.
    pub async fn list_chunks(&self, job_no: i64) -> Result<Vec<Chunk>, StoreError> {
        self.query(select_chunks("c.job_no = $1", "order by c.round, c.chunk_no")).bind(job_no).fetch_all().await
    }

    /// Returns how the candidates of a job's done chunks were compared with existing codes, and in how many chunks.
    pub async fn count_screenings(&self, job_no: i64) -> Result<Vec<(Screening, u64)>, StoreError> {
        const SQL: &str = "
            select screening, count(*) from chunks
             where job_no = $1 and screening is not null
             group by screening
             order by count(*) desc, screening";
        let rows: Vec<(String, i64)> = self.query(SQL).bind(job_no).fetch_all().await?;
        let corrupt = |problem| StoreError::Corrupt { table: "chunks", problem };
        rows.into_iter().map(|(name, count)| Ok((name.parse().map_err(corrupt)?, unsigned("chunks", count)?))).collect()
    }

    /// Counts the codes that carry the number of one of the job's runs, wherever they lie. Reads the whole store.
    pub async fn count_codes(&self, job_no: i64) -> Result<u64, StoreError> {
        const SQL: &str = "select count(*) from codes where run_no in (select run_no from chunks where job_no = $1)";
        let count: i64 = self.query(SQL).bind(job_no).without_time_limit().fetch_value().await?;
        unsigned("codes", count)
    }

    /// Reads the codes that a chunk put into the store, ascending.
    pub async fn read_codes(&self, chunk: &Chunk) -> Result<CodeBatch, StoreError> {
        const ROWS: &str = "select code from codes where run_no = $1 and code between $2 and $3 order by code";
        let OpenChunk { run_no, range_first, range_last, .. } = &chunk.planned;
        if self.is_distributed() {
            // An aggregate over an ordered subquery is computed at the nodes, and loses the order.
            let query = self.query(ROWS).bind(run_no).bind(range_first).bind(range_last);
            let codes: Vec<String> = query.fetch_values().await?;
            return Ok(CodeBatch::from_lines(codes.iter().flat_map(|code| [code, "\n"]).collect()));
        }
        let (mut transaction, sql) = match self {
            Self::Postgres(_) => (
                self.begin_reading_with(READING_CODES).await?,
                "select string_agg(code, E'\\n')
                   from (select code from codes where run_no = $1 and code between $2 and $3 order by code) ordered",
            ),
            // The table is its primary key, so a range of it is read in its order. An ordered subquery, or the newline
            // as char(10), takes two fifths longer.
            Self::Sqlite(_) => (
                self.begin_reading().await?,
                "select group_concat(code, '\n') from codes where run_no = $1 and code between $2 and $3",
            ),
        };
        let query = transaction.query(sql).bind(run_no).bind(range_first).bind(range_last);
        let joined: Option<String> = query.fetch_value().await?;
        transaction.rollback().await?;
        let mut lines = joined.unwrap_or_default();
        if !lines.is_empty() {
            // A plain push would double a megabyte for one byte.
            lines.reserve_exact(1);
            lines.push('\n');
        }
        Ok(CodeBatch::from_lines(lines))
    }
}
