//! A job in JSON, in the same form on standard output and in events.

use std::fmt;

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::Serialize;
use strum::VariantNames;
use uuid::Uuid;

use crate::job::options::PRIORITY_MAX;
use crate::job::record::{Job, Origin, Rejections};
use crate::job::state::State;
use crate::text::hexadecimal;

/// A job at one moment, in the same form on standard output and in events. It never contains a code.
///
/// Times are RFC 3339 in UTC. Fields may be added; ignore fields that you do not know.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(title = "Job")]
pub struct JobDocument {
    /// The job's id, a UUID.
    pub job_id: Uuid,
    /// The source of the codes: `mint` if they are drawn, `import` if they come from another system.
    #[schemars(extend("enum" = KINDS))]
    pub kind: &'static str,
    /// The mask as it was given; null for an import. The mask of a refused request may be invalid.
    pub mask: Option<String>,
    /// The campaign name.
    pub campaign: Option<String>,
    /// The priority: jobs with a higher priority go first.
    #[schemars(range(max = PRIORITY_MAX))]
    pub priority: u8,
    /// The state: `queued` and `running` become `completed` or `failed`, or first `cancelling` and then `cancelled`. A
    /// `completed` job has exactly the codes that were requested.
    #[schemars(extend("enum" = State::VARIANTS))]
    pub state: &'static str,
    /// The reason, for people, why a `queued` job may not start: unfinished jobs may take the codes that it needs. It
    /// starts, or fails, when these have ended or have left enough.
    pub waits_for: Option<String>,
    /// The number of requested codes; for an import, the number of codes in its input.
    pub requested: u64,
    /// The number of codes in the store.
    pub minted: u64,
    /// The number of candidates that did not become codes. They were replaced by others.
    pub rejected: u64,
    pub rejected_by_reason: RejectionsDocument,
    /// The number of candidates that a filter mistook for existing codes; they were looked up and kept.
    pub false_positives: u64,
    pub created_at: DateTime<Utc>,
    pub started_at: Option<DateTime<Utc>>,
    pub finished_at: Option<DateTime<Utc>>,
    /// The SHA-256 of the minted codes in lower-case hexadecimal, after the job ended: `codemint verify` recomputes it.
    #[schemars(regex(pattern = "^[0-9a-f]{64}$"))]
    pub digest: Option<String>,
    /// The reason why a job ended without all its codes.
    pub error: Option<ErrorDocument>,
    /// Warnings for the requester, to be read by people.
    pub warnings: Vec<String>,
}

const KINDS: [&str; 2] = ["mint", "import"];

/// The numbers of rejected candidates, by reason.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(title = "Rejections")]
pub struct RejectionsDocument {
    /// Candidates that were found to exist before they were written.
    pub existing: u64,
    /// Candidates that the unique index rejected: another process had just inserted them.
    pub conflicts: u64,
    /// Candidates that match a reserved mask.
    pub reserved: u64,
    /// Candidates that contain a denied word.
    pub denied: u64,
}

/// Lists the reasons that occurred, for people.
impl fmt::Display for RejectionsDocument {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let reasons = [
            (self.existing, "existed already"),
            (self.conflicts, "had just been inserted by others"),
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

/// The reason why a job ended without all its codes.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(title = "Error")]
pub struct ErrorDocument {
    /// The stable code for programs: lower case, with underscores. New codes may be added.
    pub code: String,
    /// The message for people; its wording may change.
    pub message: String,
}

impl From<&Job> for JobDocument {
    fn from(job: &Job) -> Self {
        let [mint, import] = KINDS;
        let (kind, mask) = match &job.origin {
            Origin::Minted { mask_text, .. } | Origin::Refused { mask_text } => (mint, Some(mask_text.clone())),
            Origin::Imported { .. } => (import, None),
        };
        Self {
            job_id: job.id,
            kind,
            mask,
            campaign: job.campaign.clone(),
            priority: job.options.priority,
            state: job.state.into_str(),
            waits_for: job.waits_for.clone(),
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
