//! Stores imports: jobs without a mask of their own, whose runs are known before the first one is written.

use uuid::Uuid;

use crate::admission::new_jobs::NewMask;
use crate::connection::error::{StoreError, is_duplicate};
use crate::connection::store::Store;
use crate::connection::transaction::StoreTransaction;
use crate::records::audit::{Action, AuditEntry, Outcome};
use codemint_codes::job::plan::PlannedChunk;
use codemint_codes::job::record::Job;
use codemint_codes::mask::Mask;

/// An import whose input was read and sorted.
#[derive(Clone, Debug)]
pub struct NewImport {
    pub id: Uuid,
    pub campaign: Option<String>,
    /// Whether the import emits events.
    pub emits_events: bool,
    /// The SHA-256 of what was read.
    pub source_digest: [u8; 32],
    /// The number of codes per run, except for the last runs of each length.
    pub run_codes: u32,
    /// One group for each length of codes, in ascending order.
    pub groups: Vec<ImportGroup>,
}

/// The codes of one length.
#[derive(Clone, Debug)]
pub struct ImportGroup {
    /// The symbols seen at each position.
    pub mask: Mask,
    pub runs: Vec<PlannedChunk>,
}

/// The result of storing an import.
#[derive(Debug)]
pub enum PutImport {
    Stored(Job),
    /// The id was known already; nothing was changed. The known job may be another import, or not an import.
    Known(Job),
}

impl NewImport {
    pub fn codes(&self) -> u64 {
        self.groups.iter().map(ImportGroup::codes).sum()
    }
}

impl ImportGroup {
    fn codes(&self) -> u64 {
        self.runs.iter().map(|run| run.quota).sum()
    }
}

impl Store {
    /// Stores an import and its runs in one transaction. Idempotent: a repeated id changes nothing.
    pub async fn put_import(&self, import: &NewImport) -> Result<PutImport, StoreError> {
        let stored = match self.insert_import(import).await {
            Err(StoreError::Database(error)) if is_duplicate(&error) => false,
            result => result?,
        };
        let job = self.find_stored(import.id).await?;
        Ok(if stored { PutImport::Stored(job) } else { PutImport::Known(job) })
    }

    /// Returns false if the id is known.
    async fn insert_import(&self, import: &NewImport) -> Result<bool, StoreError> {
        let mut transaction = self.begin_writing().await?;
        if !transaction.find_known(&[import.id]).await?.is_empty() {
            transaction.rollback().await?;
            return Ok(false);
        }
        for group in &import.groups {
            transaction.lock_admissions(group.mask.code_length()).await?;
        }
        transaction.share_campaign_names(&import.campaign.iter().map(String::as_str).collect()).await?;
        let job_no = transaction.insert_import_row(import).await?;
        for group in &import.groups {
            let mask = NewMask { mask: &group.mask, codes: group.codes() };
            let mask_no = transaction.use_mask(&mask).await?;
            transaction.insert_chunks(mask_no, 0, &[(job_no, &group.runs)]).await?;
        }
        let job = transaction.read_job(job_no).await?;
        transaction.put_accepted([&job].into_iter()).await?;
        transaction.put_audit(&[AuditEntry::of_job(Action::Import, Outcome::Accepted, &job)]).await?;
        transaction.commit().await?;
        Ok(true)
    }
}

impl StoreTransaction {
    async fn insert_import_row(&mut self, import: &NewImport) -> Result<i64, StoreError> {
        const SQL: &str = "
            insert into jobs (id, kind, source_digest, count, campaign, generator_version, chunk_size, announced)
            values ($1, 'import', $2, $3, $4, 0, $5, $6)
            returning no";
        let insert = self.query(SQL).bind(import.id).bind(&import.source_digest[..]).bind(import.codes() as i64);
        let insert = insert.bind(&import.campaign).bind(import.run_codes as i32).bind(import.emits_events);
        insert.fetch_value().await
    }
}
