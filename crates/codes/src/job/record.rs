//! Jobs as the store knows them.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::job::options::JobOptions;
use crate::job::request::{GUESS_ODDS_WARNED, Request, guess_odds, guesses_that_hit};
use crate::job::state::{JobError, State};
use crate::mask::Mask;
use crate::policy::PolicyMarks;

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
    /// The reason, for people, why a queued job may not start: unfinished jobs may take the codes that it needs.
    pub waits_for: Option<String>,
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
        easy.map(|odds| format!("{} hits a code; use more placeholders", guesses_that_hit(odds))).into_iter().collect()
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
