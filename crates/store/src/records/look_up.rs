//! Looks up single codes: whether they exist, and where they come from.

use std::collections::HashMap;

use chrono::{DateTime, Utc};

use crate::connection::error::StoreError;
use crate::connection::statement::List;
use crate::connection::store::Store;
use crate::connection::transaction::StoreTransaction;
use codemint_codes::mask::Mask;

/// The maximum number of codes in one look-up.
pub const LOOK_UP_MAX: usize = 1000;

/// A code that exists.
#[derive(Clone, Debug)]
pub struct FoundCode {
    pub code: String,
    /// The run that stored it; `None` if no job accounts for it.
    pub run: Option<FoundRun>,
}

/// The run that stored a code.
#[derive(Clone, Debug)]
pub struct FoundRun {
    pub job_no: i64,
    pub mask: String,
    pub stored_at: Option<DateTime<Utc>>,
}

/// A mask that jobs use, and the fingerprints of the keys of their check characters.
#[derive(Clone, Debug)]
pub struct MaskOfJobs {
    pub mask: Mask,
    pub check_fingerprints: Vec<String>,
}

impl Store {
    /// Returns those of these codes that exist, ascending. At most [`LOOK_UP_MAX`] codes, each found by the primary key.
    pub async fn find_codes(&self, codes: &[String]) -> Result<Vec<FoundCode>, StoreError> {
        const SQL: &str = "select code, run_no from codes where code = any($1) order by code";
        let mut snapshot = self.begin_reading().await?;
        snapshot.plan_look_ups().await?;
        let found: Vec<(String, i64)> = snapshot.query(SQL).bind(List(codes)).fetch_all().await?;
        let run_nos: Vec<i64> = found.iter().map(|(_, run_no)| *run_no).collect();
        let runs = if run_nos.is_empty() { HashMap::new() } else { snapshot.find_runs_of(&run_nos).await? };
        snapshot.rollback().await?;
        Ok(found.into_iter().map(|(code, run_no)| FoundCode { code, run: runs.get(&run_no).cloned() }).collect())
    }

    /// Lists the masks with codes of at least this length, at most `limit`, newest first. Reads the jobs of those with check
    /// characters.
    pub async fn list_masks(&self, code_length_min: usize, limit: u32) -> Result<Vec<MaskOfJobs>, StoreError> {
        const SQL: &str = "select mask_no, mask from masks where code_length >= $1 order by mask_no desc limit $2";
        let query = self.query(SQL).bind(code_length_min as i64).bind(i64::from(limit));
        let rows: Vec<(i64, String)> = query.fetch_all().await?;
        let corrupt = |error| StoreError::Corrupt { table: "masks", problem: format!("{error}") };
        let mut masks = Vec::with_capacity(rows.len());
        for (mask_no, mask) in rows {
            masks.push((mask_no, Mask::describing(&mask).map_err(corrupt)?));
        }
        let checked = masks.iter().filter(|(_, mask)| mask.check_length() > 0).map(|(mask_no, _)| *mask_no);
        let mut fingerprints = self.find_check_fingerprints(&checked.collect::<Vec<_>>()).await?;
        let with_keys = |(mask_no, mask)| {
            let check_fingerprints = fingerprints.remove(&mask_no).unwrap_or_default();
            MaskOfJobs { mask, check_fingerprints }
        };
        Ok(masks.into_iter().map(with_keys).collect())
    }

    /// Returns the fingerprints of the check keys of all jobs of these masks.
    async fn find_check_fingerprints(&self, mask_nos: &[i64]) -> Result<HashMap<i64, Vec<String>>, StoreError> {
        const SQL: &str = "
            select distinct mask_no, check_fingerprint
              from jobs where mask_no = any($1) and check_fingerprint is not null";
        let mut fingerprints: HashMap<i64, Vec<String>> = HashMap::new();
        if mask_nos.is_empty() {
            return Ok(fingerprints);
        }
        let rows: Vec<(i64, String)> = self.query(SQL).bind(List(mask_nos)).fetch_all().await?;
        for (mask_no, fingerprint) in rows {
            fingerprints.entry(mask_no).or_default().push(fingerprint);
        }
        Ok(fingerprints)
    }
}

impl StoreTransaction {
    async fn find_runs_of(&mut self, run_nos: &[i64]) -> Result<HashMap<i64, FoundRun>, StoreError> {
        const SQL: &str = "
            select c.run_no, c.job_no, m.mask, c.done_at
              from chunks c join masks m on m.mask_no = c.mask_no
             where c.run_no = any($1)";
        let rows: Vec<(i64, i64, String, Option<DateTime<Utc>>)> =
            self.query(SQL).bind(List(run_nos)).fetch_all().await?;
        let run = |(run_no, job_no, mask, stored_at)| (run_no, FoundRun { job_no, mask, stored_at });
        Ok(rows.into_iter().map(run).collect())
    }
}
