//! Jobs: their requests, plans and states, and how they end. Pure: no I/O, no clock.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::job::request::{GUESS_ODDS_WARNED, Request, guess_odds};
use crate::mask::Mask;
use crate::policy::PolicyMarks;

pub mod request;
pub mod plan;
pub mod bench;

/// A job as the store knows it, without its key: only minting needs that.
#[derive(Clone, Debug)]
pub struct Job {
    /// The store's own number, ascending in order of arrival.
    pub no: i64,
    pub id: Uuid,
    pub origin: Origin,
    pub count: u64,
    pub campaign: Option<String>,
    pub options: JobOptions,
    pub state: State,
    pub generator_version: u32,
    pub chunk_size: u32,
    /// The policy under which it was created.
    pub policy_marks: PolicyMarks,
    /// The number of codes in the store: the sum over chunks while the job runs, the job's own figure after it ended.
    pub minted: u64,
    /// The candidates that did not become codes, counted in the same way as `minted`.
    pub rejections: Rejections,
    /// The SHA-256 over the digests of the chunks, once the job has ended.
    pub digest: Option<Vec<u8>>,
    pub error: Option<JobError>,
    pub created_at: DateTime<Utc>,
    pub started_at: Option<DateTime<Utc>>,
    pub finished_at: Option<DateTime<Utc>>,
}

/// The options of a job, apart from what it asks for: two requests that differ only in this are the same request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JobOptions {
    /// The priority, 0 to [`PRIORITY_MAX`]; jobs with a higher priority go first.
    pub priority: u8,
    /// True if events report the job's progress and end.
    pub emits_events: bool,
    /// The queue that also receives the final event.
    pub reply_to: Option<String>,
    /// The requester's own id for this request; events repeat it.
    pub correlation_id: Option<String>,
    /// The trace of the request, in the form of <https://www.w3.org/TR/trace-context/#traceparent-header>.
    pub traceparent: Option<String>,
    /// The requester, for the audit log; `None` means the user who runs this process. Not stored with the job.
    pub asked_by: Option<String>,
}

/// The highest priority: that of a job that goes first.
pub const PRIORITY_MAX: u8 = 9;

/// The source of a job's codes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    Minted {
        /// The mask as it was given.
        mask_text: String,
        mask: Mask,
    },
    Imported {
        /// The SHA-256 of what was read.
        source_digest: Vec<u8>,
    },
    /// No source: the request names no mask that can be minted. The job failed before it began.
    Refused {
        /// The mask's text as it was given.
        mask_text: String,
    },
}

impl Job {
    /// Returns true if both ask for the same codes, in the same number, for the same campaign.
    pub fn asks_the_same_as(&self, request: &Request) -> bool {
        self.asks_for(&request.mask_text, request.count, request.campaign.as_deref())
    }

    /// Does the same as [`Job::asks_the_same_as`], for a request that may be impossible.
    pub fn asks_for(&self, mask_text: &str, count: u64, campaign: Option<&str>) -> bool {
        let same_mask = match &self.origin {
            Origin::Minted { mask, .. } => mask_text.parse().is_ok_and(|other: Mask| other == *mask),
            Origin::Refused { mask_text: ours } => ours == mask_text,
            Origin::Imported { .. } => false,
        };
        same_mask && self.count == count && self.campaign.as_deref() == campaign
    }

    /// Returns what the requester should know, apart from the codes.
    pub fn warnings(&self) -> Vec<String> {
        let odds = self.mask().and_then(|mask| guess_odds(mask, self.count));
        let easy = odds.filter(|odds| *odds < GUESS_ODDS_WARNED);
        easy.map(|odds| format!("1 random guess in {odds} hits a code; use more placeholders")).into_iter().collect()
    }

    /// Returns how many codes are missing. Codes of an import that existed already are not missing.
    pub fn missing(&self) -> u64 {
        let is_import = matches!(self.origin, Origin::Imported { .. });
        let imported_before = if is_import { self.rejections.total() } else { 0 };
        self.count.saturating_sub(self.minted + imported_before)
    }

    /// Returns the mask; `None` for an import, and for a request without a mask that can be minted.
    pub fn mask(&self) -> Option<&Mask> {
        match &self.origin {
            Origin::Minted { mask, .. } => Some(mask),
            Origin::Imported { .. } | Origin::Refused { .. } => None,
        }
    }

    /// Returns a title for people: the mask as it was given, or that the job is an import.
    pub fn title(&self) -> &str {
        match &self.origin {
            Origin::Minted { mask_text, .. } | Origin::Refused { mask_text } => mask_text,
            Origin::Imported { .. } => "(import)",
        }
    }
}

/// The candidates that did not become codes, by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rejections {
    /// Candidates that were found to exist before they were written.
    pub existing: u64,
    /// Candidates that were found to exist when they were written: another process had just inserted them.
    pub conflicts: u64,
    pub reserved: u64,
    pub denied: u64,
    /// Candidates that were not rejected: a filter answered "maybe", and they turned out to be new.
    pub false_positives: u64,
}

impl Rejections {
    /// Returns the number of all rejected candidates.
    pub const fn total(&self) -> u64 {
        self.existing + self.conflicts + self.forbidden()
    }

    /// Returns the number of candidates that must not be minted, whether they exist or not.
    pub const fn forbidden(&self) -> u64 {
        self.reserved + self.denied
    }
}

/// The reason why a job ended without all its codes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobError {
    /// The stable code for programs: lower case, with underscores.
    pub code: String,
    pub message: String,
}

/// The state of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Queued,
    Running,
    Cancelling,
    Cancelled,
    Completed,
    Failed,
}

impl State {
    pub const ALL: [Self; 6] =
        [Self::Queued, Self::Running, Self::Cancelling, Self::Cancelled, Self::Completed, Self::Failed];

    /// Returns the name used in tables, in messages and on the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Cancelling => "cancelling",
            Self::Cancelled => "cancelled",
            Self::Completed => "completed",
            Self::Failed => "failed",
        }
    }

    /// Returns true if nothing will change any more.
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Cancelled | Self::Completed | Self::Failed)
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for State {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = Self::ALL.into_iter().find(|state| state.as_str() == text);
        known.ok_or_else(|| format!("unknown state; use one of {}", Self::ALL.map(Self::as_str).join(", ")))
    }
}
