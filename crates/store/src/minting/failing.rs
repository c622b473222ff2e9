//! Chunks that cannot be made for a permanent reason, and the end of their jobs.

use crate::connection::error::StoreError;
use crate::connection::store::Store;
use crate::minting::closing::CloseJob;
use codemint_codes::job::state::JobError;

impl Store {
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

    /// Ends a job as `failed` with its true count: chunks that are being written are waited for, and count; open ones
    /// are given up. A job that has all its codes is `completed`.
    pub async fn fail_job(&self, job_no: i64, error: JobError) -> Result<CloseJob, StoreError> {
        self.close_job_with(job_no, Some(error)).await
    }
}
