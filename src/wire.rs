//! Formats that leave the process. Pure.

use chrono::{DateTime, Utc};
use serde::Serialize;
use uuid::Uuid;

use crate::job::Job;

/// A job in JSON, the same wherever one is shown. Times are RFC 3339 in UTC, the digest is lower-case hexadecimal.
#[derive(Debug, Serialize)]
pub struct JobDocument {
    pub job_id: Uuid,
    /// As it was given.
    pub mask: String,
    pub campaign: Option<String>,
    pub state: &'static str,
    pub requested: u64,
    pub minted: u64,
    pub rejected: u64,
    pub created_at: DateTime<Utc>,
    pub started_at: Option<DateTime<Utc>>,
    pub finished_at: Option<DateTime<Utc>>,
    pub digest: Option<String>,
    pub error: Option<ErrorDocument>,
}

#[derive(Debug, Serialize)]
pub struct ErrorDocument {
    pub code: String,
    pub message: String,
}

impl From<&Job> for JobDocument {
    fn from(job: &Job) -> Self {
        Self {
            job_id: job.id,
            mask: job.mask_text.clone(),
            campaign: job.campaign.clone(),
            state: job.state.as_str(),
            requested: job.count,
            minted: job.minted,
            rejected: job.rejected,
            created_at: job.created_at,
            started_at: job.started_at,
            finished_at: job.finished_at,
            digest: job.digest.as_deref().map(hexadecimal),
            error: job
                .error
                .as_ref()
                .map(|error| ErrorDocument { code: error.code.clone(), message: error.message.clone() }),
        }
    }
}

/// Lower-case hexadecimal digits.
pub fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
