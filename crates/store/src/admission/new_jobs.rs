//! The rows of new jobs, of their chunks and of the masks that they use.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::admission::capacity::Wanted;
use crate::admission::entropy::fresh_key;
use crate::connection::blocking::off_the_async_threads;
use crate::connection::error::{StoreError, require_rows};
use crate::connection::statement::List;
use crate::connection::transaction::StoreTransaction;
use codemint_codes::denied::DeniedInMask;
use codemint_codes::draw::GENERATOR_VERSION;
use codemint_codes::job::options::JobOptions;
use codemint_codes::job::plan::{PlannedChunk, plan_round};
use codemint_codes::job::record::{Job, Origin, Rejections};
use codemint_codes::job::request::Request;
use codemint_codes::job::restriction::RestrictedTo;
use codemint_codes::job::state::State;
use codemint_codes::keyspace::Keyspace;
use codemint_codes::mask::Mask;
use codemint_codes::policy::PolicyMarks;
use codemint_codes::random::Key;

/// A job to insert.
pub(crate) struct NewJob<'a> {
    pub id: Uuid,
    pub request: &'a Request,
    pub canonical_mask: String,
    pub keyspace: Arc<Keyspace>,
    pub denied: Option<Arc<DeniedInMask>>,
    pub marks: PolicyMarks,
    pub key: Key,
    pub chunks: Vec<PlannedChunk>,
}

impl<'a> NewJob<'a> {
    /// Draws a key and plans the first round.
    pub(crate) async fn plan(id: Uuid, request: &'a Request) -> Result<Self, StoreError> {
        let key = fresh_key()?;
        let keyspace = Arc::new(request.policy.keyspace(&request.mask));
        let denied = request.policy.denied_in(&request.mask).map(Arc::new);
        let chunks = plan_chunks(Arc::clone(&keyspace), key.clone(), request.count, request.chunk_size).await;
        let marks = request.policy.marks(&request.mask);
        Ok(Self { id, request, canonical_mask: request.mask.to_string(), keyspace, denied, marks, key, chunks })
    }
}

/// Plans the chunks of the first round; on a blocking thread if they are several, because many take a while.
pub(crate) async fn plan_chunks(keyspace: Arc<Keyspace>, key: Key, count: u64, chunk_size: u32) -> Vec<PlannedChunk> {
    if count <= u64::from(chunk_size) {
        return plan_round(&keyspace, &key, 0, count, chunk_size).collect();
    }
    off_the_async_threads(move || plan_round(&keyspace, &key, 0, count, chunk_size).collect()).await
}

impl NewJob<'_> {
    /// Returns a request for `count` codes of the job's mask.
    pub(crate) fn wanted(&self, count: u64) -> Wanted<'_> {
        Wanted {
            mask: &self.request.mask,
            keyspace: &self.keyspace,
            denied: self.denied.as_ref(),
            check_fingerprint: self.marks.check_fingerprint.as_deref(),
            count,
            waiting_no: None,
        }
    }

    /// Returns the job as it is stored, before anything has happened to it.
    fn job(
        &self,
        no: i64,
        created_at: DateTime<Utc>,
        waits_for: Option<String>,
        restricted_to: Option<RestrictedTo>,
    ) -> Job {
        let Request { mask_text, mask, count, campaign, chunk_size, options, .. } = self.request.clone();
        Job {
            no,
            id: self.id,
            policy_marks: self.marks.clone(),
            origin: Origin::Minted { mask_text, mask },
            count,
            campaign,
            options: JobOptions { restricted_to, ..options },
            state: State::Queued,
            waits_for,
            generator_version: GENERATOR_VERSION,
            chunk_size,
            minted: 0,
            rejections: Rejections::default(),
            digest: None,
            error: None,
            created_at,
            started_at: None,
            finished_at: None,
        }
    }
}

/// A mask that jobs use, perhaps not for the first time.
pub(crate) struct NewMask<'a> {
    pub mask: &'a Mask,
    /// The number of its codes that are promised to these jobs.
    pub codes: u64,
}

impl StoreTransaction {
    /// Returns those ids that jobs have already, each with the number of its job.
    pub(crate) async fn find_known(&mut self, ids: &[Uuid]) -> Result<Vec<(Uuid, i64)>, StoreError> {
        self.query("select id, no from jobs where id = any($1::uuid[])").bind(List(ids)).fetch_all().await
    }

    /// Adds the newly promised codes to the mask and returns its number.
    pub(crate) async fn use_mask(&mut self, mask: &NewMask<'_>) -> Result<i64, StoreError> {
        const SQL: &str = "
            insert into masks (mask, code_length, first_code, last_code, codes) values ($1, $2, $3, $4, $5)
            on conflict (mask) do update set codes = masks.codes + excluded.codes
            returning mask_no";
        let (text, length, codes) = (mask.mask.to_string(), mask.mask.code_length() as i32, mask.codes as i64);
        // The range of the mask, not of its codes: the row serves all jobs of the same mask.
        let (first_code, last_code) = mask.mask.range();
        let insert = self.query(SQL).bind(text).bind(length).bind(first_code).bind(last_code).bind(codes);
        insert.fetch_value().await
    }

    /// Inserts a job and returns it as it is stored; `None` if the id is known. With `waits_for`, the reason, the job
    /// waits for room.
    pub(crate) async fn insert_job(
        &mut self,
        new: &NewJob<'_>,
        mask_no: i64,
        waits_for: Option<String>,
    ) -> Result<Option<Job>, StoreError> {
        const SQL: &str = "
            insert into jobs (id, mask, canonical_mask, mask_no, count, campaign, key, generator_version, chunk_size,
                              check_fingerprint, deny_digest, priority, announced, reply_to, correlation_id, traceparent,
                              kind, waits_for, restricted_to, list_id)
            values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20)
            on conflict (id) do nothing
            returning no, created_at";
        let NewJob { id, request, canonical_mask, marks, key, .. } = new;
        let restriction = self.find_restriction(request).await?;
        let options = &request.options;
        let insert = self.query(SQL).bind(id).bind(&request.mask_text).bind(canonical_mask).bind(mask_no);
        let insert = insert.bind(request.count as i64).bind(&request.campaign).bind(key.as_bytes());
        let insert = insert.bind(GENERATOR_VERSION as i32).bind(request.chunk_size as i32);
        let insert = insert.bind(&marks.check_fingerprint).bind(&marks.deny_digest).bind(i16::from(options.priority));
        let insert = insert.bind(options.emits_events).bind(&options.reply_to).bind(&options.correlation_id);
        let (restricted_to, list_id) = match restriction {
            Some(RestrictedTo::List { list_id }) => (Some("list"), Some(list_id)),
            Some(RestrictedTo::Pool) => (Some("pool"), None),
            None => (None, None),
        };
        let kind = match (&waits_for, restricted_to) {
            (Some(_), _) => "waiting",
            (None, Some(_)) => "restricted",
            (None, None) => "mint",
        };
        let insert = insert.bind(&options.traceparent).bind(kind).bind(&waits_for).bind(restricted_to).bind(list_id);
        let stored: Option<(i64, DateTime<Utc>)> = insert.fetch_optional().await?;
        if stored.is_some() && list_id.is_some() {
            let campaign_no = self.find_campaign_no(request.campaign.as_deref().unwrap_or_default()).await?;
            self.change_issued(campaign_no, request.count as i64).await?;
        }
        Ok(stored.map(|(no, created_at)| new.job(no, created_at, waits_for, restriction)))
    }

    /// Returns where the codes of a request go: those for a restricted campaign into its pool, unless there is a list.
    async fn find_restriction(&mut self, request: &Request) -> Result<Option<RestrictedTo>, StoreError> {
        let (None, Some(campaign)) = (request.options.restricted_to, &request.campaign) else {
            return Ok(request.options.restricted_to);
        };
        Ok(self.find_pooled(campaign).await?.map(|_no| RestrictedTo::Pool))
    }

    /// Inserts the chunks of one round, of one job or of several with the same mask.
    pub(crate) async fn insert_chunks(
        &mut self,
        mask_no: i64,
        round: u32,
        chunks_of_jobs: &[(i64, &[PlannedChunk])],
    ) -> Result<(), StoreError> {
        const SQL: &str = "
            insert into chunks (mask_no, round, job_no, chunk_no, range_first, range_last, quota)
            select $1, $2, cast(value ->> 0 as bigint), cast(value ->> 1 as integer), value ->> 2, value ->> 3,
                   cast(value ->> 4 as integer)
              from json_array_elements($3::json)";
        let row = |job_no: i64, chunk: &PlannedChunk| {
            json!([job_no, chunk.chunk_no, chunk.range_first, chunk.range_last, chunk.quota])
        };
        let chunks = chunks_of_jobs.iter().flat_map(|(job_no, chunks)| chunks.iter().map(|chunk| row(*job_no, chunk)));
        let rows: Vec<Value> = chunks.collect();
        let expected = rows.len() as u64;
        let insert = self.query(SQL).bind(mask_no).bind(round as i32).bind(Value::from(rows).to_string());
        require_rows("the insert of chunks", insert.execute().await?, expected)
    }
}
