//! What a job asks for, how it is planned, its states, and how it ends. Pure: no I/O, no clock.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::code::keyspace::Keyspace;
use crate::code::mask::{Mask, MaskError};
use crate::code::policy::{Policy, PolicyMarks};
use crate::code::random::Key;
use crate::code::slice::{Slice, quotas};

/// Largest chunk, in codes: keeps a chunk's memory and the quota arithmetic in bounds.
pub const CHUNK_SIZE_MAX: u32 = 1 << 20;
/// Most chunks of a round, so that its plan fits one transaction.
pub const CHUNKS_MAX: u64 = 100_000;
/// Where fewer random guesses hit a code, a job is warned about.
pub const GUESS_ODDS_WARNED: u64 = 10_000;
/// Longest campaign name, in characters.
pub const CAMPAIGN_LENGTH_MAX: usize = 200;

/// A request that passed every check that needs no store.
#[derive(Clone, Debug)]
pub struct Request {
    /// The mask as it was given.
    pub mask_text: String,
    pub mask: Mask,
    pub count: u64,
    pub campaign: Option<String>,
    pub chunk_size: u32,
    pub policy: Policy,
}

/// Bounds that an operator sets.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// A job is refused if fewer random guesses than this hit one of its codes; 0 refuses none.
    pub guess_odds_min: u64,
    /// Most codes of one job; at most 10^9, where the quota arithmetic ends.
    pub count_max: u64,
}

/// Why a request cannot be met, whatever the store holds.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    #[error(transparent)]
    Mask(#[from] MaskError),
    #[error("count is {0}; a job asks for at least 1 code")]
    CountNotPositive(i128),
    #[error("count is {count}; limits.count_max allows {limit} codes a job")]
    CountAboveLimit { count: i128, limit: u64 },
    #[error("count is {count}; the mask {mask} has {size} codes in all")]
    CountAboveKeyspace { count: i128, mask: String, size: u128 },
    #[error(
        "1 random guess in {odds} would hit a code; limits.guess_odds_min asks for 1 in {limit} or better: use more placeholders or fewer codes"
    )]
    EasyToGuess { odds: u64, limit: u64 },
    #[error("the campaign name has {0} characters; at most {CAMPAIGN_LENGTH_MAX} are allowed")]
    CampaignTooLong(usize),
    #[error("the campaign name is empty or contains control characters; write plain text or leave it out")]
    CampaignNotText,
    #[error(
        "a note has 1 to {CAMPAIGN_LENGTH_MAX} characters without control characters; write plain text or leave it out"
    )]
    Note,
    #[error("the mask has check characters; set check.key_file to the file with their secret")]
    NoCheckKey,
    #[error("chunk size is {0}; it is a number from 1 to {CHUNK_SIZE_MAX}")]
    ChunkSize(u64),
    #[error(
        "{count} codes in chunks of {chunk_size} are {chunks} chunks; at most {CHUNKS_MAX} are allowed: use a chunk size of {fitting} or more"
    )]
    TooManyChunks { count: u64, chunk_size: u64, chunks: u64, fitting: u64 },
}

impl Request {
    /// Checks what was asked for. `count` is wider than any allowed count, so that the message can name it.
    ///
    /// # Errors
    /// The first check that does not hold: mask, count, campaign, chunk size.
    pub fn check(
        mask_text: &str,
        count: i128,
        campaign: Option<&str>,
        chunk_size: u64,
        limits: Limits,
    ) -> Result<Self, RequestError> {
        let mask: Mask = mask_text.parse()?;
        let count = checked_count(&mask, count, limits)?;
        if let Some(name) = campaign {
            check_campaign(name)?;
        }
        let chunk_size = checked_chunk_size(chunk_size, count)?;
        check_guess_odds(&mask, count, limits.guess_odds_min)?;
        let (mask_text, campaign, policy) = (mask_text.to_owned(), campaign.map(str::to_owned), Policy::default());
        Ok(Self { mask_text, mask, count, campaign, chunk_size, policy })
    }
}

impl Request {
    /// The request under other rules than none.
    ///
    /// # Errors
    /// `NoCheckKey` if the mask has check characters and there is no key for them.
    pub fn under(self, policy: Policy) -> Result<Self, RequestError> {
        if self.mask.check_length() > 0 && policy.check_key.is_none() {
            return Err(RequestError::NoCheckKey);
        }
        Ok(Self { policy, ..self })
    }
}

fn checked_count(mask: &Mask, count: i128, limits: Limits) -> Result<u64, RequestError> {
    if count < 1 {
        return Err(RequestError::CountNotPositive(count));
    }
    let size = Keyspace::new(mask).size();
    if count.unsigned_abs() > size {
        return Err(RequestError::CountAboveKeyspace { count, mask: mask.to_string(), size });
    }
    match u64::try_from(count) {
        Ok(fitting) if fitting <= limits.count_max => Ok(fitting),
        _ => Err(RequestError::CountAboveLimit { count, limit: limits.count_max }),
    }
}

/// A mask of literals is guessed by nobody who does not know it, and by everybody who does.
fn guess_odds(mask: &Mask, count: u64) -> Option<u64> {
    // Far below 2^64 where it matters.
    (mask.positions().iter().any(|set| set.len() > 1)).then(|| mask.guesses_a_hit(count) as u64)
}

fn check_guess_odds(mask: &Mask, count: u64, limit: u64) -> Result<(), RequestError> {
    match guess_odds(mask, count) {
        Some(odds) if odds < limit => Err(RequestError::EasyToGuess { odds, limit }),
        _ => Ok(()),
    }
}

/// # Errors
/// If this cannot be the name of a campaign.
pub fn check_campaign(name: &str) -> Result<(), RequestError> {
    let length = name.chars().count();
    if length > CAMPAIGN_LENGTH_MAX {
        return Err(RequestError::CampaignTooLong(length));
    }
    if name.trim().is_empty() || name.chars().any(char::is_control) {
        return Err(RequestError::CampaignNotText);
    }
    Ok(())
}

/// A note beside a reserved mask is as long as a campaign's name at most.
///
/// # Errors
/// `Note`
pub fn check_note(note: &str) -> Result<(), RequestError> {
    check_campaign(note).map_err(|_| RequestError::Note)
}

fn checked_chunk_size(chunk_size: u64, count: u64) -> Result<u32, RequestError> {
    let checked = u32::try_from(chunk_size).ok().filter(|size| (1..=CHUNK_SIZE_MAX).contains(size));
    let Some(checked) = checked else { return Err(RequestError::ChunkSize(chunk_size)) };
    let chunks = count.div_ceil(chunk_size);
    if chunks > CHUNKS_MAX {
        let fitting = count.div_ceil(CHUNKS_MAX);
        return Err(RequestError::TooManyChunks { count, chunk_size, chunks, fitting });
    }
    Ok(checked)
}

/// A job as the store knows it. The key is not part of it: only minting asks for that.
#[derive(Clone, Debug)]
pub struct Job {
    /// The store's own number, in order of arrival.
    pub no: i64,
    pub id: Uuid,
    pub origin: Origin,
    pub count: u64,
    pub campaign: Option<String>,
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
}

impl Job {
    /// Two requests are the same if they ask for the same codes in the same number for the same campaign.
    pub fn asks_the_same_as(&self, request: &Request) -> bool {
        self.mask() == Some(&request.mask) && self.count == request.count && self.campaign == request.campaign
    }

    /// What whoever asked should know, beside the codes.
    pub fn warnings(&self) -> Vec<String> {
        let odds = self.mask().and_then(|mask| guess_odds(mask, self.count));
        let easy = odds.filter(|odds| *odds < GUESS_ODDS_WARNED);
        easy.map(|odds| format!("1 random guess in {odds} hits a code; use more placeholders")).into_iter().collect()
    }

    /// How many codes it lacks: those of an import that existed already are not lacking.
    pub fn missing(&self) -> u64 {
        let imported_before = if self.mask().is_none() { self.rejections.total() } else { 0 };
        self.count.saturating_sub(self.minted + imported_before)
    }

    /// `None` for an import.
    pub fn mask(&self) -> Option<&Mask> {
        match &self.origin {
            Origin::Minted { mask, .. } => Some(mask),
            Origin::Imported { .. } => None,
        }
    }

    /// What the job is about, for people: its mask as it was given, or that it is an import.
    pub fn title(&self) -> &str {
        match &self.origin {
            Origin::Minted { mask_text, .. } => mask_text,
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

/// One chunk of a round: how many codes of which slice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedChunk {
    pub chunk_no: u32,
    /// First and last code of the slice, whether minted or not: the slice in the words of the store.
    pub range_first: String,
    pub range_last: String,
    pub quota: u64,
}

/// The chunks of one round of a job, in ascending order of codes.
pub fn plan_round(
    keyspace: &Keyspace,
    key: &Key,
    round: u32,
    count: u64,
    chunk_size: u32,
) -> impl Iterator<Item = PlannedChunk> {
    // At most 10^9 codes, so at most 10^9 slices: the numbers fit.
    let slices = count.div_ceil(u64::from(round_chunk_size(round, chunk_size))) as u32;
    (0..).zip(quotas(key, round, keyspace.size(), count, slices)).map(move |(chunk_no, (slice, quota))| {
        let (range_first, range_last) = slice.range(keyspace);
        PlannedChunk { chunk_no, range_first, range_last, quota }
    })
}

/// From 2 codes a chunk on no quota is 0, so a further round that minted nothing has met every slice full.
const fn round_chunk_size(round: u32, chunk_size: u32) -> u32 {
    if round > 0 && chunk_size < 2 { 2 } else { chunk_size }
}

/// The slice of a stored chunk, from the first and last code of its range; `None` if they are not of this keyspace.
pub fn slice_of_range(keyspace: &Keyspace, range_first: &str, range_last: &str) -> Option<Slice> {
    let (start, last) = (keyspace.body_rank(range_first)?, keyspace.body_rank(range_last)?);
    Some(Slice { start, length: last.checked_sub(start)? + 1 })
}

/// What the chunks of a job add up to when none is open.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tally {
    pub minted: u64,
    /// Codes of an import that existed already: nothing is missing there.
    pub imported_before: u64,
    pub last_round: u32,
    pub last_round_minted: u64,
}

/// What becomes of a job that has no open chunk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Closing {
    End { state: State, error: Option<JobError> },
    NextRound { round: u32, count: u64 },
}

/// Decides how a job goes on once none of its chunks is open.
pub fn decide_closing(state: State, count: u64, tally: Tally) -> Closing {
    let missing = count.saturating_sub(tally.minted + tally.imported_before);
    if missing == 0 {
        return Closing::End { state: State::Completed, error: None };
    }
    if state == State::Cancelling {
        let message = format!("cancelled after {} of {count} codes", tally.minted);
        let error = JobError { code: "cancelled".to_owned(), message };
        return Closing::End { state: State::Cancelled, error: Some(error) };
    }
    // Round 0 may have quotas of 0, so it proves nothing about the slices that it asked for nothing.
    if tally.last_round > 0 && tally.last_round_minted == 0 {
        let message = format!("no free code is left in the keyspace; minted {} of {count}", tally.minted);
        let error = JobError { code: "keyspace_exhausted".to_owned(), message };
        return Closing::End { state: State::Failed, error: Some(error) };
    }
    Closing::NextRound { round: tally.last_round + 1, count: missing }
}
