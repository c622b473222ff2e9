//! Putting jobs and their chunks into the store.

use std::sync::Arc;

use sqlx::{PgConnection, SqliteConnection};
use uuid::Uuid;

use crate::code::denied::DeniedInMask;
use crate::code::keyspace::Keyspace;
use crate::code::mask::Mask;
use crate::code::random::Key;
use crate::code::room::Room;
use crate::code::slice::GENERATOR_VERSION;
use crate::entropy::fresh_key;
use crate::job::{Job, PlannedChunk, Request, plan_round};
use crate::store::error::{StoreError, require_rows};
use crate::store::room::{Counted, Wanted};
use crate::store::transaction::StoreTransaction;
use crate::store::{Store, off_the_async_threads};

/// What became of a request to store a job.
#[derive(Debug)]
pub enum PutJob {
    /// The job and its first round of chunks are stored.
    Stored(Job),
    /// The id was known already; nothing was changed. The request may be another one.
    Known(Job),
    /// Nothing was stored: so many codes of the mask are free, fewer than were asked for.
    NoRoom {
        free: u128,
        /// Codes of the mask that are neither reserved nor denied, taken or not.
        mintable: u128,
        /// False if it is an estimate.
        exact: bool,
    },
}

/// A job's row, as it is inserted.
struct NewJob<'a> {
    id: Uuid,
    request: &'a Request,
    canonical_mask: String,
    keyspace: Arc<Keyspace>,
    denied: Option<Arc<DeniedInMask>>,
    key: Key,
    chunks: Vec<PlannedChunk>,
}

/// What a transaction of [`Store::put_job`] came to.
enum Admission {
    Stored,
    Known,
    NoRoom { free: u128, mintable: u128, exact: bool },
    Unsure,
}

impl Store {
    /// Stores a job and the chunks of its first round in one transaction, under a fresh key, if there is room for its
    /// codes. Doing it again with the same id changes nothing, so an unknown outcome may simply be tried again.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn put_job(&self, id: Uuid, request: &Request) -> Result<PutJob, StoreError> {
        let key = fresh_key()?;
        let keyspace = Arc::new(request.policy.keyspace(&request.mask));
        let chunks = plan(Arc::clone(&keyspace), key.clone(), request).await;
        let denied = request.policy.denied_in(&request.mask).map(Arc::new);
        let new = NewJob { id, request, canonical_mask: request.mask.to_string(), keyspace, denied, key, chunks };
        let mut counted: Option<Counted> = None;
        loop {
            match self.admit(&new, counted.as_ref()).await? {
                Admission::Unsure => counted = Some(self.count_taken(new.wanted(), counted.as_ref()).await?),
                Admission::NoRoom { free, mintable, exact } => return Ok(PutJob::NoRoom { free, mintable, exact }),
                Admission::Stored => return Ok(PutJob::Stored(self.find_stored(id).await?)),
                Admission::Known => return Ok(PutJob::Known(self.find_stored(id).await?)),
            }
        }
    }

    pub(crate) async fn find_stored(&self, id: Uuid) -> Result<Job, StoreError> {
        self.find_job(id).await?.ok_or_else(|| StoreError::Corrupt {
            table: "jobs",
            problem: format!("job {id} is not there after it was stored"),
        })
    }

    async fn admit(&self, new: &NewJob<'_>, counted: Option<&Counted>) -> Result<Admission, StoreError> {
        let mut transaction = self.begin_writing().await?;
        transaction.lock_admissions(new.keyspace.code_length()).await?;
        if transaction.is_known(new.id).await? {
            transaction.rollback().await?;
            return Ok(Admission::Known);
        }
        let refused = match transaction.find_room(new.wanted(), counted).await? {
            Room::Enough => None,
            Room::TooFew { free, mintable, exact } => Some(Admission::NoRoom { free, mintable, exact }),
            Room::Unsure => Some(Admission::Unsure),
        };
        if let Some(refused) = refused {
            transaction.rollback().await?;
            return Ok(refused);
        }
        let mask_no = transaction.use_mask(&new.mask()).await?;
        let job_no = transaction.insert_job(new, mask_no).await?;
        transaction.insert_chunks(job_no, mask_no, 0, &new.chunks).await?;
        transaction.commit().await?;
        Ok(Admission::Stored)
    }
}

/// Many chunks take a while.
async fn plan(keyspace: Arc<Keyspace>, key: Key, request: &Request) -> Vec<PlannedChunk> {
    let (count, chunk_size) = (request.count, request.chunk_size);
    off_the_async_threads(move || plan_round(&keyspace, &key, 0, count, chunk_size).collect()).await
}

impl NewJob<'_> {
    fn wanted(&self) -> Wanted<'_> {
        Wanted {
            mask: &self.request.mask,
            keyspace: &self.keyspace,
            denied: self.denied.as_ref(),
            count: self.request.count,
        }
    }

    fn mask(&self) -> NewMask<'_> {
        NewMask { mask: &self.request.mask, codes: self.request.count }
    }
}

/// A mask that is used, perhaps not for the first time.
pub(crate) struct NewMask<'a> {
    pub mask: &'a Mask,
    /// What is promised of it.
    pub codes: u64,
}

const USE_MASK: &str = "
    insert into masks (mask, code_length, first_code, last_code, codes) values ($1, $2, $3, $4, $5)
    on conflict (mask) do update set codes = masks.codes + excluded.codes
    returning mask_no";

const INSERT_JOB: &str = "
    insert into jobs (id, mask, canonical_mask, mask_no, count, campaign, key, generator_version, chunk_size,
                      check_fingerprint, deny_digest)
    values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
    returning no";

impl StoreTransaction {
    pub(crate) async fn is_known(&mut self, id: Uuid) -> Result<bool, StoreError> {
        const SQL: &str = "select exists (select 1 from jobs where id = $1)";
        Ok(match self {
            Self::Postgres(transaction) => sqlx::query_scalar(SQL).bind(id).fetch_one(&mut **transaction).await?,
            Self::Sqlite(transaction) => sqlx::query_scalar(SQL).bind(id).fetch_one(&mut **transaction).await?,
        })
    }

    /// The number of the mask, of which so many more codes are now promised.
    pub(crate) async fn use_mask(&mut self, mask: &NewMask<'_>) -> Result<i64, StoreError> {
        let (text, length, codes) = (mask.mask.to_string(), mask.mask.code_length() as i32, mask.codes as i64);
        // Of the mask, not of its codes: the row is for all jobs of the same mask.
        let (first_code, last_code) = mask.mask.range();
        let no = match self {
            Self::Postgres(transaction) => {
                let insert = sqlx::query_scalar(USE_MASK).bind(text).bind(length).bind(first_code).bind(last_code);
                insert.bind(codes).fetch_one(&mut **transaction).await?
            }
            Self::Sqlite(transaction) => {
                let insert = sqlx::query_scalar(USE_MASK).bind(text).bind(length).bind(first_code).bind(last_code);
                insert.bind(codes).fetch_one(&mut **transaction).await?
            }
        };
        Ok(no)
    }

    async fn insert_job(&mut self, new: &NewJob<'_>, mask_no: i64) -> Result<i64, StoreError> {
        let NewJob { id, request, canonical_mask, key, .. } = new;
        let (count, chunk_size) = (request.count as i64, request.chunk_size as i32);
        let marks = request.policy.marks(&request.mask);
        let no = match self {
            Self::Postgres(transaction) => {
                let insert = sqlx::query_scalar(INSERT_JOB).bind(id).bind(&request.mask_text).bind(canonical_mask);
                let insert = insert.bind(mask_no).bind(count).bind(&request.campaign).bind(key.as_bytes());
                let insert = insert.bind(GENERATOR_VERSION as i32).bind(chunk_size).bind(&marks.check_fingerprint);
                insert.bind(&marks.deny_digest).fetch_one(&mut **transaction).await?
            }
            Self::Sqlite(transaction) => {
                let insert = sqlx::query_scalar(INSERT_JOB).bind(id).bind(&request.mask_text).bind(canonical_mask);
                let insert = insert.bind(mask_no).bind(count).bind(&request.campaign).bind(key.as_bytes());
                let insert = insert.bind(GENERATOR_VERSION as i32).bind(chunk_size).bind(&marks.check_fingerprint);
                insert.bind(&marks.deny_digest).fetch_one(&mut **transaction).await?
            }
        };
        Ok(no)
    }

    /// Puts the chunks of one round.
    pub(crate) async fn insert_chunks(
        &mut self,
        job_no: i64,
        mask_no: i64,
        round: u32,
        chunks: &[PlannedChunk],
    ) -> Result<(), StoreError> {
        let inserted = match self {
            Self::Postgres(transaction) => insert_chunks_postgres(transaction, job_no, mask_no, round, chunks).await?,
            Self::Sqlite(transaction) => insert_chunks_sqlite(transaction, job_no, mask_no, round, chunks).await?,
        };
        require_rows("the insert of chunks", inserted, chunks.len() as u64)
    }
}

async fn insert_chunks_postgres(
    connection: &mut PgConnection,
    job_no: i64,
    mask_no: i64,
    round: u32,
    chunks: &[PlannedChunk],
) -> Result<u64, sqlx::Error> {
    let numbers: Vec<i32> = chunks.iter().map(|chunk| chunk.chunk_no as i32).collect();
    let firsts: Vec<&str> = chunks.iter().map(|chunk| chunk.range_first.as_str()).collect();
    let lasts: Vec<&str> = chunks.iter().map(|chunk| chunk.range_last.as_str()).collect();
    let quotas: Vec<i32> = chunks.iter().map(|chunk| chunk.quota as i32).collect();
    let inserted = sqlx::query(
        "insert into chunks (job_no, mask_no, round, chunk_no, range_first, range_last, quota)
         select $1, $2, $3, * from unnest($4::integer[], $5::text[], $6::text[], $7::integer[])",
    )
    .bind(job_no)
    .bind(mask_no)
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
    mask_no: i64,
    round: u32,
    chunks: &[PlannedChunk],
) -> Result<u64, sqlx::Error> {
    let rows: serde_json::Value = chunks
        .iter()
        .map(|chunk| serde_json::json!([chunk.chunk_no, chunk.range_first, chunk.range_last, chunk.quota]))
        .collect();
    let inserted = sqlx::query(
        "insert into chunks (job_no, mask_no, round, chunk_no, range_first, range_last, quota)
         select $1, $2, $3, value ->> 0, value ->> 1, value ->> 2, value ->> 3 from json_each($4)",
    )
    .bind(job_no)
    .bind(mask_no)
    .bind(round as i32)
    .bind(rows.to_string())
    .execute(connection)
    .await?;
    Ok(inserted.rows_affected())
}
