//! Formats that leave the process. Pure.

use std::fmt;

use chrono::{DateTime, Utc};
use serde::Serialize;
use uuid::Uuid;

use crate::job::{Job, Origin, Rejections};

/// A job in JSON, the same wherever one is shown. Times are RFC 3339 in UTC, the digest is lower-case hexadecimal.
#[derive(Debug, Serialize)]
pub struct JobDocument {
    pub job_id: Uuid,
    /// `mint` or `import`
    pub kind: &'static str,
    /// As it was given; none for an import.
    pub mask: Option<String>,
    pub campaign: Option<String>,
    pub state: &'static str,
    pub requested: u64,
    pub minted: u64,
    /// Candidates that did not become codes.
    pub rejected: u64,
    pub rejected_by_reason: RejectionsDocument,
    /// Candidates that a filter took for existing ones; they were looked up and kept.
    pub false_positives: u64,
    pub created_at: DateTime<Utc>,
    pub started_at: Option<DateTime<Utc>>,
    pub finished_at: Option<DateTime<Utc>>,
    pub digest: Option<String>,
    pub error: Option<ErrorDocument>,
    /// What whoever asked should know.
    pub warnings: Vec<String>,
}

/// Why candidates were rejected.
#[derive(Debug, Serialize)]
pub struct RejectionsDocument {
    /// Found to exist before they were written.
    pub existing: u64,
    /// Found to exist by the unique index.
    pub conflicts: u64,
    pub reserved: u64,
    pub denied: u64,
}

/// The reasons that there were, for people.
impl fmt::Display for RejectionsDocument {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let reasons = [
            (self.existing, "existed already"),
            (self.conflicts, "had just been put in by others"),
            (self.reserved, "reserved"),
            (self.denied, "denied"),
        ];
        let said: Vec<String> =
            reasons.iter().filter(|(count, _)| *count > 0).map(|(count, reason)| format!("{count} {reason}")).collect();
        f.write_str(&said.join(", "))
    }
}

impl From<Rejections> for RejectionsDocument {
    fn from(rejections: Rejections) -> Self {
        let Rejections { existing, conflicts, reserved, denied, .. } = rejections;
        Self { existing, conflicts, reserved, denied }
    }
}

#[derive(Debug, Serialize)]
pub struct ErrorDocument {
    pub code: String,
    pub message: String,
}

impl From<&Job> for JobDocument {
    fn from(job: &Job) -> Self {
        let (kind, mask) = match &job.origin {
            Origin::Minted { mask_text, .. } => ("mint", Some(mask_text.clone())),
            Origin::Imported { .. } => ("import", None),
        };
        Self {
            job_id: job.id,
            kind,
            mask,
            campaign: job.campaign.clone(),
            state: job.state.as_str(),
            requested: job.count,
            minted: job.minted,
            rejected: job.rejections.total(),
            rejected_by_reason: RejectionsDocument::from(job.rejections),
            false_positives: job.rejections.false_positives,
            created_at: job.created_at,
            started_at: job.started_at,
            finished_at: job.finished_at,
            digest: job.digest.as_deref().map(hexadecimal),
            warnings: job.warnings(),
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
