//! The life of a job: start, cancel, close, fail.

use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::connection::error::{StoreError, reach};
use crate::connection::store::Store;
use crate::connection::transaction::StoreTransaction;
use crate::minting::chunks::key_of_bytes;
use crate::minting::closing::{CloseJob, JobEnd, time_between};
use crate::records::audit::{Action, AuditEntry, Outcome};
use codemint_codes::job::record::Job;
use codemint_codes::job::state::JobError;
use codemint_codes::random::Key;
use codemint_codes::text::hexadecimal;
use codemint_telemetry::failpoint;
use codemint_telemetry::metrics::jobs;

impl Store {
    /// Turns a `queued` job `running`, unless it waits for room; any other state stays.
    pub async fn start_job(&self, job_no: i64) -> Result<StartJob, StoreError> {
        // Not flushed to disk: a job that is queued again after a crash is started again.
        let mut transaction = self.begin_writing_unflushed().await?;
        let update = transaction.query(
            "update jobs set state = 'running', started_at = now() where no = $1 and state = 'queued' and kind <> 'waiting'
             returning key, created_at, started_at",
        );
        let started: Option<StartedRow> = update.bind(job_no).fetch_optional().await?;
        transaction.commit().await?;
        let waited = started.as_ref().map(|row| time_between(row.created_at, row.started_at));
        let key = match started.and_then(|row| row.key) {
            Some(bytes) => Some(key_of_bytes(bytes)?),
            None => self.read_key(job_no).await?,
        };
        Ok(StartJob { key, waited })
    }

    /// Stores the trace of a job that has none yet: the first request wins.
    pub async fn keep_trace(&self, job_no: i64, traceparent: &str) -> Result<(), StoreError> {
        const SQL: &str = "update jobs set traceparent = $2 where no = $1 and traceparent is null";
        let mut transaction = self.begin_writing_unflushed().await?;
        transaction.query(SQL).bind(job_no).bind(traceparent).execute().await?;
        transaction.commit().await
    }

    /// Requests the cancellation of a job: from now on no worker claims a chunk of it. [`Store::close_job`] ends it.
    pub async fn mark_job_cancelling(&self, job_no: i64) -> Result<(), StoreError> {
        let mut transaction = self.begin_writing().await?;
        transaction.mark_job_cancelling(job_no, None).await?;
        transaction.commit().await
    }

    /// Counts one more failure of an open chunk, by any worker, up to `most`: other workers may be writing the chunk
    /// when it fails for the last time. Returns the number of failures; 0 if the chunk is not open.
    pub async fn count_chunk_failure(&self, run_no: i64, most: u32) -> Result<u32, StoreError> {
        const SQL: &str = "
            update chunks set failures = case when failures < $2 then failures + 1 else failures end
             where run_no = $1 and state = 'open'
            returning failures";
        let mut transaction = self.begin_writing().await?;
        let failures: Option<(i32,)> =
            transaction.query(SQL).bind(run_no).bind(i64::from(most)).fetch_optional().await?;
        transaction.commit().await?;
        Ok(failures.map_or(0, |(failures,)| failures.unsigned_abs()))
    }

    /// Ends a job without open chunks, or plans the next round for the missing codes. A job that is being cancelled
    /// loses its open chunks first; chunks that are being written are waited for and count.
    pub async fn close_job(&self, job_no: i64) -> Result<CloseJob, StoreError> {
        self.close_job_with(job_no, None).await
    }

    /// Ends a job as `failed` with its true count: chunks that are being written are waited for, and count; open ones
    /// are given up. A job that has all its codes is `completed`.
    pub async fn fail_job(&self, job_no: i64, error: JobError) -> Result<CloseJob, StoreError> {
        self.close_job_with(job_no, Some(error)).await
    }

    /// Cancels a job; the codes minted so far stay. Waits for the chunks that other processes are writing. Idempotent: a job that
    /// has ended stays as it is. `asked_by` is as in [`AuditEntry`].
    pub async fn cancel_job(&self, job: &Job, asked_by: Option<&str>) -> Result<(), StoreError> {
        if job.state.is_final() {
            return Ok(());
        }
        let mut transaction = self.begin_writing().await?;
        transaction.mark_job_cancelling(job.no, asked_by).await?;
        transaction.commit().await?;
        loop {
            if let CloseJob::Ended(end) = self.close_job(job.no).await? {
                log_end(end);
                return Ok(());
            }
        }
    }

    async fn close_job_with(&self, job_no: i64, failure: Option<JobError>) -> Result<CloseJob, StoreError> {
        reach(failpoint::BEFORE_CLOSE).await?;
        let mut transaction = self.begin_writing().await?;
        let closed = transaction.close_job(job_no, failure).await?;
        transaction.commit().await?;
        Ok(closed)
    }
}

impl StoreTransaction {
    pub(crate) async fn mark_job_cancelling(&mut self, job_no: i64, asked_by: Option<&str>) -> Result<(), StoreError> {
        const SQL: &str = "update jobs set state = 'cancelling' where no = $1 and state in ('queued', 'running')";
        // Repeated cancel requests are no-ops.
        if self.query(SQL).bind(job_no).execute().await? > 0 {
            let job = self.read_job(job_no).await?;
            let entry = AuditEntry::of_job(Action::Cancel, Outcome::Accepted, &job);
            self.put_audit(&[AuditEntry { asked_by: asked_by.map(str::to_owned), ..entry }]).await?;
        }
        Ok(())
    }
}

/// Logs and counts the end of a job that this process ended. If it had ended before, another process has reported it.
pub fn log_end(end: Option<JobEnd>) {
    let Some(JobEnd { state, minted, rejected, digest, run_time }) = end else { return };
    jobs::job_finished(state.into_str(), run_time);
    let seconds = run_time.map(|time| time.as_secs_f64());
    let digest = hexadecimal(&digest);
    tracing::info!(state = state.into_str(), codes = minted, rejected, seconds, digest, "a job has ended");
}

/// The result of starting a job.
#[derive(Debug)]
pub struct StartJob {
    /// The result of [`Store::read_key`].
    pub key: Option<Key>,
    /// How long the job had waited, if this call started it; all other processes find it running.
    pub waited: Option<Duration>,
}

#[derive(sqlx::FromRow)]
struct StartedRow {
    key: Option<Vec<u8>>,
    created_at: DateTime<Utc>,
    started_at: DateTime<Utc>,
}
