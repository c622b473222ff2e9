//! Requests for codes, and the checks that need no store.

use crate::job::options::JobOptions;
use crate::keyspace::Keyspace;
use crate::mask::{Mask, MaskError};
use crate::policy::Policy;
use crate::text::plural;

/// The largest chunk, in codes: bounds a chunk's memory and the quota arithmetic.
pub const CHUNK_SIZE_MAX: u32 = 1 << 20;
/// The maximum number of chunks of a round, so that its plan fits in one transaction.
const CHUNKS_MAX: u64 = 100_000;
/// The number of random guesses for one hit, on average, below which a job has a warning.
pub(crate) const GUESS_ODDS_WARNED: u64 = 10_000;
/// The longest campaign name, in characters.
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
    pub options: JobOptions,
}

/// The limits that an operator sets.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// A job is refused if fewer random guesses than this hit one of its codes; 0 refuses none.
    pub guess_odds_min: u64,
    /// The maximum number of codes of one job; at most 10^9, where the quota arithmetic ends.
    pub count_max: u64,
}

/// The reason why a request cannot be met, whatever the store holds.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    #[error(transparent)]
    Mask(#[from] MaskError),
    #[error("count is {0}; it must be at least 1")]
    CountNotPositive(i128),
    #[error("count is {count}; limits.count_max allows {limit} {} a job", plural(*limit, "code"))]
    CountAboveLimit { count: i128, limit: u64 },
    #[error("count is {count}; the mask {mask} has {size} {} in all", plural(*size, "code"))]
    CountAboveKeyspace { count: i128, mask: String, size: u128 },
    #[error(
        "{} would hit a code; limits.guess_odds_min asks for 1 in {limit} or better: use more placeholders or fewer codes",
        guesses_that_hit(*odds)
    )]
    EasyToGuess { odds: u64, limit: u64 },
    #[error("the campaign name has {0} characters; at most {CAMPAIGN_LENGTH_MAX} are allowed")]
    CampaignTooLong(usize),
    #[error("the campaign name is {0}, which browsers take out of addresses; write another one")]
    CampaignDots(String),
    #[error("the campaign name is empty or contains control characters; write plain text or leave it out")]
    CampaignNotText,
    #[error(
        "a note has 1 to {CAMPAIGN_LENGTH_MAX} characters without control characters; write plain text or leave it out"
    )]
    Note,
    #[error("the mask has check characters; set check.key_file to the file with their secret")]
    NoCheckKey,
    #[error("chunk size must be between 1 and {CHUNK_SIZE_MAX}, got {0}")]
    ChunkSize(u64),
    #[error(
        "{count} {} in chunks of {chunk_size} make {chunks} chunks; at most {CHUNKS_MAX} are allowed: use a chunk size of {fitting} or more",
        plural(*count, "code")
    )]
    TooManyChunks { count: u64, chunk_size: u64, chunks: u64, fitting: u64 },
}

impl RequestError {
    /// Returns the stable code for programs: lower case, with underscores.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Mask(_) => "invalid_mask",
            Self::CountNotPositive(_) => "invalid_count",
            Self::CountAboveLimit { .. } => "count_above_limit",
            Self::CountAboveKeyspace { .. } => "keyspace_too_small",
            Self::EasyToGuess { .. } => "easy_to_guess",
            Self::CampaignTooLong(_) | Self::CampaignDots(_) | Self::CampaignNotText => "invalid_campaign",
            Self::Note => "invalid_note",
            Self::NoCheckKey => "no_check_key",
            Self::ChunkSize(_) | Self::TooManyChunks { .. } => "invalid_chunk_size",
        }
    }
}

impl Request {
    /// Checks a request. The type of `count` is wider than any allowed count, so that the message can name a wrong one.
    ///
    /// # Errors
    /// The first check that fails: mask, count, campaign, chunk size, guess odds.
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
        let (mask_text, campaign) = (mask_text.to_owned(), campaign.map(str::to_owned));
        let (policy, options) = (Policy::default(), JobOptions::default());
        Ok(Self { mask_text, mask, count, campaign, chunk_size, policy, options })
    }
}

impl Request {
    /// Returns the request under this policy instead of the default, which restricts nothing.
    ///
    /// # Errors
    /// `NoCheckKey` if the mask has check characters and there is no key for them.
    pub fn under(self, policy: Policy) -> Result<Self, RequestError> {
        if self.mask.check_length() > 0 && policy.check_key.is_none() {
            return Err(RequestError::NoCheckKey);
        }
        Ok(Self { policy, ..self })
    }

    /// Returns the request with these options.
    #[must_use]
    pub fn with_options(self, options: JobOptions) -> Self {
        Self { options, ..self }
    }
}

/// Returns the smallest chunk size, not below `wished`, with which a plan for `count` codes is allowed.
pub fn fitting_chunk_size(wished: u64, count: u64) -> u64 {
    wished.max(count.div_ceil(CHUNKS_MAX))
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

/// Returns the random guesses per hit. `None` for a mask of literals: those who know it always hit, all others never.
pub(crate) fn guess_odds(mask: &Mask, count: u64) -> Option<u64> {
    // Far below 2^64 where it matters.
    (mask.positions().iter().any(|set| set.len() > 1)).then(|| mask.guesses_a_hit(count) as u64)
}

/// Formats how many random guesses hit a code; `odds` is the number of guesses per hit, rounded down.
pub(crate) fn guesses_that_hit(odds: u64) -> String {
    match odds {
        0 | 1 => "more than 1 random guess in 2".to_owned(),
        odds => format!("1 random guess in {odds}"),
    }
}

fn check_guess_odds(mask: &Mask, count: u64, limit: u64) -> Result<(), RequestError> {
    match guess_odds(mask, count) {
        Some(odds) if odds < limit => Err(RequestError::EasyToGuess { odds, limit }),
        _ => Ok(()),
    }
}

/// Checks the name of a campaign.
pub fn check_campaign(name: &str) -> Result<(), RequestError> {
    let length = name.chars().count();
    if length > CAMPAIGN_LENGTH_MAX {
        return Err(RequestError::CampaignTooLong(length));
    }
    if name.trim().is_empty() || name.chars().any(char::is_control) {
        return Err(RequestError::CampaignNotText);
    }
    if name == "." || name == ".." {
        return Err(RequestError::CampaignDots(name.to_owned()));
    }
    Ok(())
}

/// Checks the note of a reserved mask, which follows the rules of campaign names.
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
