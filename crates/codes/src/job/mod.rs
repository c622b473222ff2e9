//! What a job asks for, how it is planned, its states, and how it ends. Pure: no I/O, no clock.

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

/// A job as the store knows it. The key is not part of it: only minting asks for that.
#[derive(Clone, Debug)]
pub struct Job {
    /// The store's own number, in order of arrival.
    pub no: i64,
    pub id: Uuid,
    pub origin: Origin,
    pub count: u64,
    pub campaign: Option<String>,
    pub handling: Handling,
    pub state: State,
    pub generator_version: u32,
    pub chunk_size: u32,
    /// What it was made under.
    pub policy_marks: PolicyMarks,
    /// Codes in the store: the sum over chunks while the job runs, the job's own figure once it has ended.
    pub minted: u64,
    /// Candidates that did not become codes, counted as `minted` is.
    pub rejections: Rejections,
    /// SHA-256 over the digests of the chunks, once the job has ended.
    pub digest: Option<Vec<u8>>,
    pub error: Option<JobError>,
    pub created_at: DateTime<Utc>,
    pub started_at: Option<DateTime<Utc>>,
    pub finished_at: Option<DateTime<Utc>>,
}

/// How a job is handled, beside what it asks for: two requests that differ in this are the same request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Handling {
    /// 0 to [`PRIORITY_MAX`]; jobs of a higher one go first.
    pub priority: u8,
    /// Whether events tell how the job goes.
    pub announced: bool,
    /// The queue that the final event goes to as well.
    pub reply_to: Option<String>,
    /// What whoever asked calls this request; events repeat it.
    pub correlation_id: Option<String>,
    /// The trace that asked for it, in the form of <https://www.w3.org/TR/trace-context/#traceparent-header>.
    pub traceparent: Option<String>,
    /// Who asked, for the audit log; `None` is whoever runs this process. Not kept with the job.
    pub asked_by: Option<String>,
}

/// Of a job that goes first.
pub const PRIORITY_MAX: u8 = 9;

/// Where a job's codes come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    Minted {
        /// The mask as it was given.
        mask_text: String,
        mask: Mask,
    },
    Imported {
        /// SHA-256 of what was read.
        source_digest: Vec<u8>,
    },
    /// From nowhere: the request names no mask that can be minted. The job has failed before it began.
    Refused {
        /// As it was given.
        mask_text: String,
    },
}

impl Job {
    /// Two requests are the same if they ask for the same codes in the same number for the same campaign.
    pub fn asks_the_same_as(&self, request: &Request) -> bool {
        self.asks_for(&request.mask_text, request.count, request.campaign.as_deref())
    }

    /// As [`Job::asks_the_same_as`], of a request that may be impossible.
    pub fn asks_for(&self, mask_text: &str, count: u64, campaign: Option<&str>) -> bool {
        let same_mask = match &self.origin {
            Origin::Minted { mask, .. } => mask_text.parse().is_ok_and(|other: Mask| other == *mask),
            Origin::Refused { mask_text: ours } => ours == mask_text,
            Origin::Imported { .. } => false,
        };
        same_mask && self.count == count && self.campaign.as_deref() == campaign
    }

    /// What whoever asked should know, beside the codes.
    pub fn warnings(&self) -> Vec<String> {
        let odds = self.mask().and_then(|mask| guess_odds(mask, self.count));
        let easy = odds.filter(|odds| *odds < GUESS_ODDS_WARNED);
        easy.map(|odds| format!("1 random guess in {odds} hits a code; use more placeholders")).into_iter().collect()
    }

    /// How many codes it lacks: those of an import that existed already are not lacking.
    pub fn missing(&self) -> u64 {
        let is_import = matches!(self.origin, Origin::Imported { .. });
        let imported_before = if is_import { self.rejections.total() } else { 0 };
        self.count.saturating_sub(self.minted + imported_before)
    }

    /// `None` for an import, and for a request without a mask that can be minted.
    pub fn mask(&self) -> Option<&Mask> {
        match &self.origin {
            Origin::Minted { mask, .. } => Some(mask),
            Origin::Imported { .. } | Origin::Refused { .. } => None,
        }
    }

    /// What the job is about, for people: its mask as it was given, or that it is an import.
    pub fn title(&self) -> &str {
        match &self.origin {
            Origin::Minted { mask_text, .. } | Origin::Refused { mask_text } => mask_text,
            Origin::Imported { .. } => "(import)",
        }
    }
}

/// Candidates that did not become codes, by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rejections {
    /// They were found to exist before they were written.
    pub existing: u64,
    /// They were found to exist when they were written: somebody else had just put them in.
    pub conflicts: u64,
    pub reserved: u64,
    pub denied: u64,
    /// Not rejected: candidates of which a filter said maybe, and that turned out to be new.
    pub false_positives: u64,
}

impl Rejections {
    /// All that were rejected.
    pub const fn total(&self) -> u64 {
        self.existing + self.conflicts + self.forbidden()
    }

    /// Those that must not be minted, whether they exist or not.
    pub const fn forbidden(&self) -> u64 {
        self.reserved + self.denied
    }
}

/// Why a job ended without all its codes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobError {
    /// For programs: stable, lower case, with underscores.
    pub code: String,
    pub message: String,
}

/// Where a job stands.
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

    /// As in tables, messages and on the command line.
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

    /// True when nothing will change any more.
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
        known.ok_or_else(|| format!("no such state; there are {}", Self::ALL.map(Self::as_str).join(", ")))
    }
}
