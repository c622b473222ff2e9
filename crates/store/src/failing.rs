//! Chunks that cannot be made for a reason that will not pass, and the end of their jobs.

use crate::Store;
use crate::closing::CloseJob;
use crate::error::StoreError;
use crate::transaction::StoreTransaction;
use codemint_codes::job::JobError;

impl Store {
    /// Counts one more failure of an open chunk, by whichever worker, up to `most`: others may be at the chunk when it fails
    /// for the last time. Tells how many there are; 0 if it is not open.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn count_chunk_failure(&self, run_no: i64, most: u32) -> Result<u32, StoreError> {
        const SQL: &str = "
            update chunks set failures = case when failures < $2 then failures + 1 else failures end
             where run_no = $1 and state = 'open'
            returning failures";
        let mut transaction = self.begin_writing().await?;
        let failures: Option<i32> = match &mut transaction {
            StoreTransaction::Postgres(transaction) => {
                sqlx::query_scalar(SQL).bind(run_no).bind(i64::from(most)).fetch_optional(&mut **transaction).await?
            }
            StoreTransaction::Sqlite(transaction) => {
                sqlx::query_scalar(SQL).bind(run_no).bind(i64::from(most)).fetch_optional(&mut **transaction).await?
            }
        };
        transaction.commit().await?;
        Ok(failures.unwrap_or_default().unsigned_abs())
    }

    /// Ends a job as `failed` with its true count: chunks that are being written are waited for, and count; the open ones
    /// are given up. A job that has all its codes is `completed`.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn fail_job(&self, job_no: i64, error: JobError) -> Result<CloseJob, StoreError> {
        self.close_job_with(job_no, Some(error)).await
    }
}
