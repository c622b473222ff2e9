//! A job in JSON, the same wherever one is shown: on standard output and in events.

use std::fmt;

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::Serialize;
use uuid::Uuid;

use crate::job::{Job, Origin, PRIORITY_MAX, Rejections, State};

/// A job as it is or was, the same wherever one is shown: on standard output and in events. Never holds a code.
///
/// Times are RFC 3339 in UTC. Further fields may be added; ignore those that you do not know.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(title = "Job")]
pub struct JobDocument {
    /// The job's name, a UUID.
    pub job_id: Uuid,
    /// `mint` for codes that were drawn, `import` for codes from elsewhere.
    #[schemars(extend("enum" = KINDS))]
    pub kind: &'static str,
    /// What codes look like, as it was given; none for an import. Of a refused request it may be no mask.
    pub mask: Option<String>,
    /// Whom or what the codes are for.
    pub campaign: Option<String>,
    /// Jobs of a higher one go first.
    #[schemars(range(max = PRIORITY_MAX))]
    pub priority: u8,
    /// `queued` and `running` become `completed` or `failed`, or by way of `cancelling` `cancelled`. A job that is
    /// `completed` has exactly the codes it was asked for.
    #[schemars(extend("enum" = State::ALL.map(State::as_str)))]
    pub state: &'static str,
    /// How many codes were asked for; of an import, how many its input holds.
    pub requested: u64,
    /// How many codes are in the store.
    pub minted: u64,
    /// Candidates that did not become codes. They were replaced by others.
    pub rejected: u64,
    pub rejected_by_reason: RejectionsDocument,
    /// Candidates that a filter took for existing ones; they were looked up and kept.
    pub false_positives: u64,
    pub created_at: DateTime<Utc>,
    pub started_at: Option<DateTime<Utc>>,
    pub finished_at: Option<DateTime<Utc>>,
    /// SHA-256 in lower-case hexadecimal of what was minted, once the job has ended: `codemint verify` computes it again.
    #[schemars(regex(pattern = "^[0-9a-f]{64}$"))]
    pub digest: Option<String>,
    /// Why a job ended without all its codes.
    pub error: Option<ErrorDocument>,
    /// For people: what whoever asked should know.
    pub warnings: Vec<String>,
}

const KINDS: [&str; 2] = ["mint", "import"];

/// Why candidates were rejected.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(title = "Rejections")]
pub struct RejectionsDocument {
    /// Found to exist before they were written.
    pub existing: u64,
    /// Found to exist by the unique index: others had just put them in.
    pub conflicts: u64,
    /// Of a reserved mask.
    pub reserved: u64,
    /// With a denied word.
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

/// Why a job ended without all its codes.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(title = "Error")]
pub struct ErrorDocument {
    /// For programs: stable, lower case, with underscores. There may come more of them.
    pub code: String,
    /// For people; may change.
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
            priority: job.handling.priority,
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
