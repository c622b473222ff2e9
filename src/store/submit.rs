//! Putting jobs and their chunks into the store.

use sqlx::{PgConnection, SqliteConnection};
use uuid::Uuid;

use crate::code::keyspace::Keyspace;
use crate::code::random::Key;
use crate::code::slice::GENERATOR_VERSION;
use crate::entropy::fresh_key;
use crate::job::{Job, PlannedChunk, Request, plan_round};
use crate::store::Store;
use crate::store::error::{StoreError, require_rows};
use crate::store::transaction::StoreTransaction;

/// What became of a request to store a job.
#[derive(Debug)]
pub enum PutJob {
    /// The job and its first round of chunks are stored.
    Stored(Job),
    /// The id was known already; nothing was changed. The request may be another one.
    Known(Job),
}

/// A job's row, as it is inserted.
struct NewJob<'a> {
    id: Uuid,
    request: &'a Request,
    canonical_mask: String,
    key: Key,
    chunks: Vec<PlannedChunk>,
}

impl Store {
    /// Stores a job and the chunks of its first round in one transaction, under a fresh key. Doing it again with the
    /// same id changes nothing, so an unknown outcome may simply be tried again.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn put_job(&self, id: Uuid, request: &Request) -> Result<PutJob, StoreError> {
        let key = fresh_key()?;
        let keyspace = Keyspace::new(&request.mask);
        let chunks = plan_round(&keyspace, &key, 0, request.count, request.chunk_size).collect();
        let new = NewJob { id, request, canonical_mask: request.mask.to_string(), key, chunks };
        let mut transaction = self.begin_writing().await?;
        let job_no = transaction.insert_job(&new).await?;
        if let Some(job_no) = job_no {
            transaction.insert_chunks(job_no, 0, &new.chunks).await?;
        }
        transaction.commit().await?;
        let stored = self.find_job(id).await?.ok_or_else(|| StoreError::Corrupt {
            table: "jobs",
            problem: format!("job {id} is not there after it was stored"),
        })?;
        Ok(if job_no.is_some() { PutJob::Stored(stored) } else { PutJob::Known(stored) })
    }
}

const INSERT_JOB: &str = "
    insert into jobs (id, mask, canonical_mask, count, campaign, key, generator_version, chunk_size)
    values ($1, $2, $3, $4, $5, $6, $7, $8)
    on conflict (id) do nothing
    returning no";

impl StoreTransaction {
    /// The number of the new job; `None` if the id is known.
    async fn insert_job(&mut self, new: &NewJob<'_>) -> Result<Option<i64>, StoreError> {
        let NewJob { id, request, canonical_mask, key, .. } = new;
        let (count, chunk_size) = (request.count as i64, request.chunk_size as i32);
        let no = match self {
            Self::Postgres(transaction) => {
                let insert = sqlx::query_scalar(INSERT_JOB).bind(id).bind(&request.mask_text).bind(canonical_mask);
                let insert = insert.bind(count).bind(&request.campaign).bind(key.as_bytes());
                insert.bind(GENERATOR_VERSION as i32).bind(chunk_size).fetch_optional(&mut **transaction).await?
            }
            Self::Sqlite(transaction) => {
                let insert = sqlx::query_scalar(INSERT_JOB).bind(id).bind(&request.mask_text).bind(canonical_mask);
                let insert = insert.bind(count).bind(&request.campaign).bind(key.as_bytes());
                insert.bind(GENERATOR_VERSION as i32).bind(chunk_size).fetch_optional(&mut **transaction).await?
            }
        };
        Ok(no)
    }

    /// Puts the chunks of one round.
    pub(crate) async fn insert_chunks(
        &mut self,
        job_no: i64,
        round: u32,
        chunks: &[PlannedChunk],
    ) -> Result<(), StoreError> {
        let inserted = match self {
            Self::Postgres(transaction) => insert_chunks_postgres(transaction, job_no, round, chunks).await?,
            Self::Sqlite(transaction) => insert_chunks_sqlite(transaction, job_no, round, chunks).await?,
        };
        require_rows("the insert of chunks", inserted, chunks.len() as u64)
    }
}

async fn insert_chunks_postgres(
    connection: &mut PgConnection,
    job_no: i64,
    round: u32,
    chunks: &[PlannedChunk],
) -> Result<u64, sqlx::Error> {
    let numbers: Vec<i32> = chunks.iter().map(|chunk| chunk.chunk_no as i32).collect();
    let firsts: Vec<&str> = chunks.iter().map(|chunk| chunk.range_first.as_str()).collect();
    let lasts: Vec<&str> = chunks.iter().map(|chunk| chunk.range_last.as_str()).collect();
    let quotas: Vec<i32> = chunks.iter().map(|chunk| chunk.quota as i32).collect();
    let inserted = sqlx::query(
        "insert into chunks (job_no, round, chunk_no, range_first, range_last, quota)
         select $1, $2, * from unnest($3::integer[], $4::text[], $5::text[], $6::integer[])",
    )
    .bind(job_no)
    .bind(round as i32)
    .bind(numbers)
    .bind(firsts)
    .bind(lasts)
    .bind(quotas)
    .execute(connection)
    .await?;
    Ok(inserted.rows_affected())
}

async fn insert_chunks_sqlite(
    connection: &mut SqliteConnection,
    job_no: i64,
    round: u32,
    chunks: &[PlannedChunk],
) -> Result<u64, sqlx::Error> {
    let rows: serde_json::Value = chunks
        .iter()
        .map(|chunk| serde_json::json!([chunk.chunk_no, chunk.range_first, chunk.range_last, chunk.quota]))
        .collect();
    let inserted = sqlx::query(
        "insert into chunks (job_no, round, chunk_no, range_first, range_last, quota)
         select $1, $2, value ->> 0, value ->> 1, value ->> 2, value ->> 3 from json_each($3)",
    )
    .bind(job_no)
    .bind(round as i32)
    .bind(rows.to_string())
    .execute(connection)
    .await?;
    Ok(inserted.rows_affected())
}
