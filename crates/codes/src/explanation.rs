//! What a mask can produce: the number of its codes, samples, and whether a count of codes is feasible.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use crate::draw::Draw;
use crate::job::request::{Limits, RequestError};
use crate::keyspace::Keyspace;
use crate::mask::Mask;
use crate::overlap::size;
use crate::policy::Policy;
use crate::random::{Key, Stream};
use crate::slice::Slice;
use crate::spreadsheet::{Exposure, Spreadsheet, SpreadsheetError};
use crate::symbols::SAFE;

/// The explanation of a mask.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Explanation {
    /// The mask as it was given.
    pub mask: String,
    pub canonical_mask: String,
    pub code_length: usize,
    /// Decimal digits: the number may exceed what JSON readers hold exactly.
    pub keyspace: String,
    pub bits: f64,
    /// The number of codes without a denied word; none if no words are denied.
    pub allowed: Option<String>,
    pub check: Option<CheckCharacters>,
    /// Codes drawn with a throw-away key, stored nowhere; none for a mask with check characters without their secret.
    pub samples: Vec<String>,
    pub plan: Option<Plan>,
    /// What spreadsheets do to the codes when they open CSV; none if they keep all of them.
    pub spreadsheet: Option<Misreadings>,
}

/// The codes that a spreadsheet changes or runs.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Misreadings {
    /// The share of the codes, 0 to 1.
    pub share: f64,
    /// False if the shares are estimates, because check characters depend on their secret.
    pub exact: bool,
    /// The share of each kind.
    pub kinds: BTreeMap<&'static str, f64>,
    #[serde(skip)]
    pub exposure: Exposure,
}

/// Whether a number of codes is feasible.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Plan {
    pub count: u64,
    pub feasible: bool,
    /// The share of the keyspace that would be handed out, 0 to 1.
    pub share: f64,
    /// The average number of random guesses per hit.
    pub guesses_a_hit: f64,
}

/// The check characters of a mask.
#[derive(Debug, Serialize, JsonSchema)]
pub struct CheckCharacters {
    pub length: usize,
    /// The average number of random guesses per one with the right check characters.
    pub guesses_a_pass: u64,
    /// False if check.key_file is not set.
    pub key_configured: bool,
}

/// The reason why a mask cannot be explained.
#[derive(Debug, thiserror::Error)]
pub enum ExplainError {
    #[error(transparent)]
    Request(#[from] RequestError),
    #[error(transparent)]
    Spreadsheet(#[from] SpreadsheetError),
}

impl CheckCharacters {
    /// Returns the check characters of a mask; `None` if it has none.
    pub fn of(mask: &Mask, key_configured: bool) -> Option<Self> {
        let length = mask.check_length();
        // At most 4 check characters, so the power fits.
        let guesses_a_pass = u64::from(SAFE.len()).pow(length as u32);
        (length > 0).then_some(Self { length, guesses_a_pass, key_configured })
    }
}

impl Explanation {
    /// Explains a mask under a policy. `samples` are a key that is used for nothing else, and the number of samples to draw with it.
    ///
    /// # Errors
    /// If the text is not a mask, or the count is not one of a job.
    pub fn new(
        mask_text: &str,
        policy: &Policy,
        count: Option<i128>,
        limits: Limits,
        samples: (&Key, u32),
    ) -> Result<Self, ExplainError> {
        let mask: Mask = mask_text.parse().map_err(RequestError::Mask)?;
        let (keyspace, check) = (policy.keyspace(&mask), CheckCharacters::of(&mask, policy.check_key.is_some()));
        let samples = match &check {
            Some(check) if !check.key_configured => Vec::new(),
            _ => draw_samples(&keyspace, samples),
        };
        let denied = policy.denied_in(&mask);
        let may_be_minted = |code: &String| denied.as_ref().is_none_or(|denied| !denied.is_denied(code.as_bytes()));
        let samples = samples.into_iter().filter(may_be_minted).collect();
        let allowed = denied.as_ref().map(|denied| denied.count_allowed(mask.positions()));
        let mintable = allowed.unwrap_or(keyspace.size());
        Ok(Self {
            mask: mask_text.to_owned(),
            canonical_mask: mask.to_string(),
            code_length: keyspace.code_length(),
            keyspace: keyspace.size().to_string(),
            bits: ((keyspace.size() as f64).log2() * 100.0).round() / 100.0,
            allowed: allowed.map(|allowed| allowed.to_string()),
            check,
            samples,
            plan: count.map(|count| Plan::of(&mask, mintable, count, limits.count_max)).transpose()?,
            spreadsheet: Some(Spreadsheet::new()?.exposure(&mask))
                .filter(|exposure| !exposure.is_none())
                .map(Into::into),
        })
    }
}

impl Plan {
    fn of(mask: &Mask, mintable: u128, count: i128, count_max: u64) -> Result<Self, RequestError> {
        if count < 1 {
            return Err(RequestError::CountNotPositive(count));
        }
        let fitting = u64::try_from(count).ok().filter(|&count| count <= count_max);
        let count = fitting.ok_or(RequestError::CountAboveLimit { count, limit: count_max })?;
        Ok(Self {
            count,
            feasible: u128::from(count) <= mintable,
            share: count as f64 / size(mask.body()) as f64,
            guesses_a_hit: mask.guesses_a_hit(count),
        })
    }
}

impl From<Exposure> for Misreadings {
    fn from(exposure: Exposure) -> Self {
        let kinds = exposure.kinds().map(|(kind, share)| (kind.into_str(), share)).collect();
        Self { share: exposure.share(), exact: exposure.is_exact(), kinds, exposure }
    }
}

fn draw_samples(keyspace: &Keyspace, (key, wanted): (&Key, u32)) -> Vec<String> {
    let whole = Slice { start: 0, length: keyspace.size() };
    let draw = Draw::new(key, Stream::chunk(0, 0), whole, wanted as usize);
    draw.ranks().iter().filter_map(|&rank| keyspace.unrank(rank)).collect()
}
