//! Jobs of load tests: one test at a time, and the removal of its jobs with everything that they wrote. Nothing else in
//! this module ever deletes a code.

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use sqlx::{Executor, FromRow};
use uuid::Uuid;

use crate::admission::overlaps::json_numbers;
use crate::connection::error::StoreError;
use crate::connection::store::Store;
use crate::connection::transaction::StoreTransaction;
use codemint_codes::job::bench;

/// The number of codes removed in one transaction; only its last chunk may exceed this.
const CODES_AT_ONCE: i64 = 1_600_000;
/// Maximum number of chunks removed in one transaction.
const CHUNKS_AT_ONCE: i64 = 10_000;
/// Maximum number of jobs removed in one transaction, once their chunks are gone.
pub const JOBS_AT_ONCE: usize = 100;
/// The suffix that turns the name of an SQLite file into the name of a load test's lock file.
const LOCK_SUFFIX: &str = "-bench";

/// While it lives, no other process runs a load test on the store. It is released with the process, however that ends.
#[derive(Debug)]
pub struct BenchLock {
    _held: Held,
}

#[derive(Debug)]
enum Held {
    Postgres { _transaction: StoreTransaction },
    Sqlite { path: PathBuf, _file: File },
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Self::Sqlite { path, .. } = self {
            // A lock file that stays behind does no harm.
            let _removed = fs::remove_file(path);
        }
    }
}

/// A job of a load test.
#[derive(Clone, Debug, FromRow)]
pub struct BenchJob {
    pub no: i64,
    pub id: Uuid,
    /// True if nothing will change any more.
    pub has_ended: bool,
    campaign: Option<String>,
}

/// The row of a chunk to remove.
#[derive(FromRow)]
struct RunRow {
    run_no: i64,
    range_first: String,
    range_last: String,
}

impl Store {
    /// Locks the store for a load test; `None` if another process runs one here.
    ///
    /// # Errors
    /// `File` if the lock file beside an SQLite file cannot be used.
    pub async fn lock_benches(&self) -> Result<Option<BenchLock>, StoreError> {
        let held = match self {
            Self::Postgres(postgres) => {
                let mut transaction = postgres.begin().await?;
                // The transaction does nothing else and holds no snapshot, so it obstructs nothing.
                transaction.execute("set local idle_in_transaction_session_timeout = 0").await?;
                let locked = StoreTransaction::try_lock_bench(&mut transaction).await?;
                locked.then_some(Held::Postgres { _transaction: StoreTransaction::Postgres(transaction) })
            }
            Self::Sqlite(sqlite) => {
                let sql = "select file from pragma_database_list where name = 'main'";
                let file: String = sqlx::query_scalar(sql).fetch_one(&sqlite.readers).await?;
                let path = PathBuf::from(file + LOCK_SUFFIX);
                let problem = |error: std::io::Error| StoreError::File {
                    file: path.display().to_string(),
                    problem: error.to_string(),
                };
                lock_file(&path).map_err(problem)?.map(|file| Held::Sqlite { path: path.clone(), _file: file })
            }
        };
        Ok(held.map(|held| BenchLock { _held: held }))
    }

    /// Returns those tables that a load test writes to and that this user may not delete from.
    pub async fn find_undeletable_tables(&self) -> Result<Vec<String>, StoreError> {
        const SQL: &str = "
            select name from unnest(array['jobs', 'chunks', 'masks', 'codes', 'outbox']) name
             where not has_table_privilege(name, 'delete')";
        match self {
            Self::Postgres(pool) => Ok(sqlx::query_scalar(SQL).fetch_all(pool).await?),
            Self::Sqlite(_) => Ok(Vec::new()),
        }
    }

    /// Lists the jobs of load tests: those of this one, and those that a killed one left behind.
    pub async fn list_bench_jobs(&self) -> Result<Vec<BenchJob>, StoreError> {
        const SQL: &str = "
            select no, id, campaign, state in ('cancelled', 'completed', 'failed') as has_ended
              from jobs
             where id between $1 and $2
             order by no";
        let (first, last) = (bench::FIRST_ID, bench::LAST_ID);
        let mut jobs: Vec<BenchJob> = match self {
            Self::Postgres(pool) => sqlx::query_as(SQL).bind(first).bind(last).fetch_all(pool).await?,
            Self::Sqlite(sqlite) => sqlx::query_as(SQL).bind(first).bind(last).fetch_all(&sqlite.readers).await?,
        };
        jobs.retain(|job| bench::is_of_bench(job.id, job.campaign.as_deref()));
        Ok(jobs)
    }

    /// Ends these jobs, after waiting for current writers: then no process mints codes of them any more. Idempotent.
    pub async fn end_bench_jobs(&self, jobs: &[BenchJob]) -> Result<(), StoreError> {
        let mut transaction = self.begin_writing_unflushed().await?;
        for job_no in transaction.find_numbers(jobs).await? {
            transaction.mark_job_cancelling(job_no).await?;
            transaction.close_job(job_no, None).await?;
        }
        transaction.commit().await
    }

    /// Removes some chunks of these jobs, which have ended, with their codes. Returns the number of codes; `None` if no
    /// chunk was left.
    pub async fn remove_bench_chunks(&self, jobs: &[BenchJob]) -> Result<Option<u64>, StoreError> {
        let mut transaction = self.begin_writing_unflushed().await?;
        let numbers = transaction.find_numbers(jobs).await?;
        let runs = transaction.list_runs(&numbers).await?;
        let codes = transaction.delete_codes(&runs).await?;
        let run_nos: Vec<i64> = runs.iter().map(|run| run.run_no).collect();
        transaction.delete_listed("delete from chunks where run_no in (select value from $1)", &run_nos).await?;
        transaction.commit().await?;
        Ok((!runs.is_empty()).then_some(codes))
    }

    /// Removes jobs that have ended and have no chunks left, at most [`JOBS_AT_ONCE`], with their events, and their
    /// masks if no other job uses them.
    pub async fn remove_bench_jobs(&self, jobs: &[BenchJob]) -> Result<(), StoreError> {
        let mut transaction = self.begin_writing().await?;
        let numbers = transaction.find_numbers(jobs).await?;
        // Locks the rows: a transaction that wants to use one of these masks waits for the outcome.
        const FREE_MASKS: &str = "
            update masks
               set codes = codes - (select cast(sum(j.minted) as bigint) from jobs j
                                     where j.mask_no = masks.mask_no and j.no in (select value from $1))
             where mask_no in (select mask_no from jobs where no in (select value from $1))
         returning mask_no";
        let masks = transaction.fetch_listed(FREE_MASKS, &numbers).await?;
        for sql in [
            "delete from outbox where job_no in (select value from $1)",
            "delete from jobs where no in (select value from $1)",
        ] {
            transaction.delete_listed(sql, &numbers).await?;
        }
        const UNUSED_MASKS: &str = "
            delete from masks
             where mask_no in (select value from $1)
               and not exists (select 1 from jobs where jobs.mask_no = masks.mask_no)
               and not exists (select 1 from chunks where chunks.mask_no = masks.mask_no)";
        transaction.delete_listed(UNUSED_MASKS, &masks).await?;
        transaction.commit().await
    }
}

impl StoreTransaction {
    /// Returns the numbers of the jobs that still exist: SQLite gives the number of a deleted job to another one.
    async fn find_numbers(&mut self, jobs: &[BenchJob]) -> Result<Vec<i64>, StoreError> {
        const SQL: &str = "select no from jobs where no in (select value from $1) and id between $2 and $3";
        let numbers: Vec<i64> = jobs.iter().map(|job| job.no).collect();
        let (sql, first, last) = (self.with_list(SQL), bench::FIRST_ID, bench::LAST_ID);
        Ok(match self {
            Self::Postgres(transaction) => {
                let query = sqlx::query_scalar(&sql).bind(numbers).bind(first).bind(last);
                query.fetch_all(&mut **transaction).await?
            }
            Self::Sqlite(transaction) => {
                let query = sqlx::query_scalar(&sql).bind(json_numbers(&numbers)).bind(first).bind(last);
                query.fetch_all(&mut **transaction).await?
            }
        })
    }

    /// Returns chunks of these jobs that lie next to each other.
    async fn list_runs(&mut self, job_nos: &[i64]) -> Result<Vec<RunRow>, StoreError> {
        const SQL: &str = "
            select run_no, range_first, range_last
              from (select run_no, range_first, range_last,
                           sum(minted) over (order by range_first, run_no) - minted as codes_before
                      from chunks where job_no in (select value from $1)) runs
             where codes_before < $2
             order by range_first, run_no
             limit $3";
        let sql = self.with_list(SQL);
        Ok(match self {
            Self::Postgres(transaction) => {
                // A plan that was made while the table was empty would read all of it when it no longer is.
                transaction.execute("set local enable_seqscan = off").await?;
                let query = sqlx::query_as(&sql).bind(job_nos).bind(CODES_AT_ONCE).bind(CHUNKS_AT_ONCE);
                query.fetch_all(&mut **transaction).await?
            }
            Self::Sqlite(transaction) => {
                let query = sqlx::query_as(&sql).bind(json_numbers(job_nos)).bind(CODES_AT_ONCE).bind(CHUNKS_AT_ONCE);
                query.fetch_all(&mut **transaction).await?
            }
        })
    }

    /// Removes the codes of these runs, and of no others, in one search: on one mask their ranges are all the same.
    async fn delete_codes(&mut self, runs: &[RunRow]) -> Result<u64, StoreError> {
        const SQL: &str = "delete from codes where run_no in (select value from $1) and code between $2 and $3";
        let first = runs.iter().map(|run| &run.range_first).min();
        let last = runs.iter().map(|run| &run.range_last).max();
        let run_nos: Vec<i64> = runs.iter().map(|run| run.run_no).collect();
        let sql = self.with_list(SQL);
        Ok(match self {
            Self::Postgres(transaction) => {
                let delete = sqlx::query(&sql).bind(run_nos).bind(first).bind(last);
                delete.execute(&mut **transaction).await?.rows_affected()
            }
            Self::Sqlite(transaction) => {
                let delete = sqlx::query(&sql).bind(json_numbers(&run_nos)).bind(first).bind(last);
                delete.execute(&mut **transaction).await?.rows_affected()
            }
        })
    }

    /// Executes a statement whose parameter is a list of numbers.
    async fn delete_listed(&mut self, sql: &str, listed: &[i64]) -> Result<(), StoreError> {
        let sql = self.with_list(sql);
        match self {
            Self::Postgres(transaction) => {
                sqlx::query(&sql).bind(listed).execute(&mut **transaction).await?;
            }
            Self::Sqlite(transaction) => {
                sqlx::query(&sql).bind(json_numbers(listed)).execute(&mut **transaction).await?;
            }
        }
        Ok(())
    }

    async fn fetch_listed(&mut self, sql: &str, listed: &[i64]) -> Result<Vec<i64>, StoreError> {
        let sql = self.with_list(sql);
        Ok(match self {
            Self::Postgres(transaction) => sqlx::query_scalar(&sql).bind(listed).fetch_all(&mut **transaction).await?,
            Self::Sqlite(transaction) => {
                sqlx::query_scalar(&sql).bind(json_numbers(listed)).fetch_all(&mut **transaction).await?
            }
        })
    }
}

/// Locks the file; `None` if another process has locked it.
fn lock_file(path: &Path) -> std::io::Result<Option<File>> {
    loop {
        let file = File::options().create(true).truncate(false).write(true).open(path)?;
        match file.try_lock() {
            // The previous holder may have removed the file by now: a lock on a file that no process can find is none.
            Ok(()) if file.metadata()?.nlink() > 0 => return Ok(Some(file)),
            Ok(()) => {}
            Err(fs::TryLockError::WouldBlock) => return Ok(None),
            Err(fs::TryLockError::Error(error)) => return Err(error),
        }
    }
}
