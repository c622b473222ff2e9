//! Jobs that wait for room: accepted, though other unfinished jobs may take the codes that they need. Any process may
//! decide about them, at any time, in the order in which they came.

use std::sync::Arc;
use std::time::Duration;

use sqlx::FromRow;

use crate::admission::capacity::{Counted, Wanted};
use crate::admission::new_jobs::plan_chunks;
use crate::connection::error::StoreError;
use crate::connection::store::Store;
use crate::connection::transaction::StoreTransaction;
use crate::minting::chunks::key_of_bytes;
use crate::minting::closing::{CloseJob, JobEnd};
use crate::records::rows::unsigned;
use codemint_codes::capacity::Capacity;
use codemint_codes::denied::DeniedInMask;
use codemint_codes::job::plan::PlannedChunk;
use codemint_codes::job::state::JobError;
use codemint_codes::keyspace::Keyspace;
use codemint_codes::mask::Mask;
use codemint_codes::policy::{Policy, PolicyMarks};
use codemint_codes::random::Key;

/// Maximum number of waiting jobs that one call decides about; the others wait behind them.
const WAITING_MAX: i64 = 100;

/// Returns how long to wait before the next call of [`Store::decide_waiting`], after one that took this long: counting
/// then takes at most a tenth of the time of a process.
pub fn pause_after_deciding(took: Duration) -> Duration {
    (took * 9).clamp(Duration::from_millis(250), Duration::from_secs(60))
}

/// A job that waited for room and no longer does.
#[derive(Clone, Copy, Debug)]
pub struct DecidedWaiting {
    pub job_no: i64,
    /// Its end, if too few codes can become free; else it may start.
    pub end: Option<JobEnd>,
}

/// A job that waits for room, with what is needed to decide about it.
struct WaitingJob {
    no: i64,
    mask_no: i64,
    count: u64,
    mask: Mask,
    marks: PolicyMarks,
    keyspace: Arc<Keyspace>,
    denied: Option<Arc<DeniedInMask>>,
    chunk_size: u32,
    key: Key,
    reason: String,
}

#[derive(FromRow)]
struct WaitingRow {
    no: i64,
    mask_no: i64,
    canonical_mask: String,
    count: i64,
    chunk_size: i32,
    key: Vec<u8>,
    check_fingerprint: Option<String>,
    deny_digest: Option<Vec<u8>>,
    waits_for: String,
}

const SELECT_WAITING: &str = "
    select no, mask_no, canonical_mask, count, chunk_size, key, check_fingerprint, deny_digest, waits_for
      from jobs
     where kind = 'waiting' and state = 'queued'
     order by no
     limit $1";

impl Store {
    /// Decides about the waiting jobs of this policy, in the order in which they came: those for which enough codes are
    /// certain to be free may start, those for which too few can become free end as failed, and the others still wait.
    pub async fn decide_waiting(&self, policy: &Policy) -> Result<Vec<DecidedWaiting>, StoreError> {
        let rows: Vec<WaitingRow> = self.query(SELECT_WAITING).bind(WAITING_MAX).fetch_all().await?;
        let mut decided = Vec::new();
        for row in rows {
            if let Some(waiting) = WaitingJob::under(policy, row)? {
                decided.extend(self.decide_one_waiting(&waiting).await?);
            }
        }
        Ok(decided)
    }

    /// Returns `None` if the job still waits, or if somebody else has decided.
    async fn decide_one_waiting(&self, waiting: &WaitingJob) -> Result<Option<DecidedWaiting>, StoreError> {
        let mut counted: Option<Counted> = None;
        let mut chunks: Option<Vec<PlannedChunk>> = None;
        loop {
            let mut transaction = self.begin_writing().await?;
            let capacity = transaction.find_capacity_for_waiting(waiting, counted.as_ref()).await?;
            match (capacity, &chunks) {
                // Both take a while, so they happen outside of the transaction, which then looks again.
                (Some(Capacity::Unsure), _) => {
                    transaction.rollback().await?;
                    counted = Some(self.count_taken(waiting.wanted(), counted.as_ref()).await?);
                }
                (Some(Capacity::Enough), None) => {
                    transaction.rollback().await?;
                    chunks = Some(waiting.plan().await);
                }
                (Some(capacity), _) => {
                    let decided = transaction.conclude_waiting(waiting, capacity, chunks.as_deref()).await?;
                    transaction.commit().await?;
                    return Ok(decided);
                }
                (None, _) => {
                    transaction.rollback().await?;
                    return Ok(None);
                }
            }
        }
    }
}

impl StoreTransaction {
    /// Returns `None` if the job waits no longer: somebody else has decided.
    async fn find_capacity_for_waiting(
        &mut self,
        waiting: &WaitingJob,
        counted: Option<&Counted>,
    ) -> Result<Option<Capacity>, StoreError> {
        const SQL: &str = "select kind = 'waiting' and state = 'queued' from jobs where no = $1 for update";
        self.lock_admissions(waiting.keyspace.code_length()).await?;
        if !self.query(SQL).bind(waiting.no).fetch_value::<bool>().await? {
            return Ok(None);
        }
        self.find_capacity(waiting.wanted(), counted).await.map(Some)
    }

    /// Returns `None` if the job still waits.
    async fn conclude_waiting(
        &mut self,
        waiting: &WaitingJob,
        capacity: Capacity,
        chunks: Option<&[PlannedChunk]>,
    ) -> Result<Option<DecidedWaiting>, StoreError> {
        let job_no = waiting.no;
        match (capacity, chunks) {
            (Capacity::Enough, Some(chunks)) => {
                self.end_waiting(job_no).await?;
                self.insert_chunks(waiting.mask_no, 0, &[(job_no, chunks)]).await?;
                Ok(Some(DecidedWaiting { job_no, end: None }))
            }
            (Capacity::TooFew { free, exact, .. }, _) => {
                self.end_waiting(job_no).await?;
                let error = JobError::insufficient_keyspace(free, exact, waiting.count);
                let end = match self.close_job(job_no, Some(error)).await? {
                    CloseJob::Ended(end) => end,
                    CloseJob::NextRound | CloseJob::ChunksOpen => None,
                };
                Ok(Some(DecidedWaiting { job_no, end }))
            }
            (undecided, _) => {
                self.update_reason(waiting, undecided).await?;
                Ok(None)
            }
        }
    }

    /// Turns a waiting job into a job like any other.
    async fn end_waiting(&mut self, job_no: i64) -> Result<(), StoreError> {
        let sql =
            "update jobs set kind = case when restricted_to is null then 'mint' else 'restricted' end, waits_for = null
                    where no = $1";
        self.query(sql).bind(job_no).execute().await?;
        Ok(())
    }

    async fn update_reason(&mut self, waiting: &WaitingJob, capacity: Capacity) -> Result<(), StoreError> {
        if let Some(reason) = capacity.reason_to_wait(waiting.count)
            && reason != waiting.reason
        {
            let update = self.query("update jobs set waits_for = $2 where no = $1");
            update.bind(waiting.no).bind(reason).execute().await?;
        }
        Ok(())
    }
}

impl WaitingJob {
    /// Returns `None` if the job was created under another policy: then only other processes can decide.
    fn under(policy: &Policy, row: WaitingRow) -> Result<Option<Self>, StoreError> {
        let corrupt = |error| StoreError::Corrupt { table: "jobs", problem: format!("{error}") };
        let mask: Mask = row.canonical_mask.parse().map_err(corrupt)?;
        let marks = PolicyMarks { check_fingerprint: row.check_fingerprint, deny_digest: row.deny_digest };
        if policy.marks(&mask) != marks {
            return Ok(None);
        }
        Ok(Some(Self {
            no: row.no,
            mask_no: row.mask_no,
            count: unsigned("jobs", row.count)?,
            keyspace: Arc::new(policy.keyspace(&mask)),
            denied: policy.denied_in(&mask).map(Arc::new),
            mask,
            marks,
            chunk_size: unsigned("jobs", row.chunk_size)?,
            key: key_of_bytes(row.key)?,
            reason: row.waits_for,
        }))
    }

    fn wanted(&self) -> Wanted<'_> {
        Wanted {
            mask: &self.mask,
            keyspace: &self.keyspace,
            denied: self.denied.as_ref(),
            check_fingerprint: self.marks.check_fingerprint.as_deref(),
            count: self.count,
            waiting_no: Some(self.no),
        }
    }

    /// Plans the first round.
    async fn plan(&self) -> Vec<PlannedChunk> {
        plan_chunks(Arc::clone(&self.keyspace), self.key.clone(), self.count, self.chunk_size).await
    }
}
