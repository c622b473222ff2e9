//! Finds the codes that customers type, and the campaigns that they belong to.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use codemint_codes::check::CheckKey;
use codemint_codes::typed::{KnownMask, Missing, Typed};
use codemint_store::connection::error::StoreError;
use codemint_store::connection::store::Store;
use codemint_store::redemptions::code_origins::RunOrigin;

/// The number of newest masks with which a code is compared that is not stored as it was typed.
const MASKS_MAX: u32 = 10_000;
/// The maximum number of spellings of one code that are looked up.
const SPELLINGS_MAX: usize = 64;
/// How long masks are believed to be all there are.
const MASKS_FRESH_FOR: Duration = Duration::from_secs(1);
/// The maximum number of runs whose origin is kept.
const RUNS_MAX: usize = 1_000_000;

/// The maximum number of codes that are kept.
const CODES_MAX: usize = 100_000;

/// A code that exists and belongs to a campaign.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownCode {
    /// The code as it is stored.
    pub code: String,
    pub campaign_no: i64,
    pub may_vanish: bool,
}

/// Looks codes up. What a run belongs to never changes, so it is kept.
#[derive(Debug)]
pub struct CodeBook {
    store: Store,
    check_key: Option<CheckKey>,
    runs: Mutex<HashMap<i64, RunOrigin>>,
    /// Codes that were found lately and cannot vanish: a public code is asked for again and again.
    found: Mutex<HashMap<String, KnownCode>>,
    masks: Mutex<Option<(Instant, Arc<Masks>)>>,
}

/// The masks of the store.
#[derive(Debug)]
struct Masks {
    all: Vec<KnownMask>,
    /// Those whose check characters can be verified.
    verified: Vec<KnownMask>,
}

impl CodeBook {
    /// `check_key` verifies check characters, if the store's masks have some.
    pub fn new(store: Store, check_key: Option<CheckKey>) -> Self {
        Self { store, check_key, runs: Mutex::default(), found: Mutex::default(), masks: Mutex::default() }
    }

    /// Looks up codes as they were typed, and answers in their order; `None` for a text that is no code of a campaign.
    pub async fn find(&self, typed: &[&str]) -> Result<Vec<Option<KnownCode>>, StoreError> {
        let mut readings: Vec<Vec<String>> = typed.iter().map(|text| as_typed(text)).collect();
        self.drop_mistyped(&mut readings).await?;
        let mut found = self.find_first(&readings).await?;
        // A text without a reading cannot be a code, however it is spelled.
        let is_missing = |place: &usize| found[*place].is_none() && !readings[*place].is_empty();
        let missing: Vec<usize> = (0..typed.len()).filter(is_missing).collect();
        if !missing.is_empty() {
            let masks = self.masks().await?;
            let spellings = |place: &usize| {
                let Ok(typed) = typed[*place].parse::<Typed>() else { return Vec::new() };
                let mut spellings = typed.spellings(&masks.all);
                spellings.retain(|spelling| !readings[*place].contains(spelling));
                spellings.truncate(SPELLINGS_MAX);
                spellings
            };
            let spellings: Vec<Vec<String>> = missing.iter().map(spellings).collect();
            for (place, code) in missing.into_iter().zip(self.find_first(&spellings).await?) {
                found[place] = code;
            }
        }
        Ok(found)
    }

    /// Returns the reason why a text is not a code, as far as the masks show it.
    pub async fn judge(&self, typed: &Typed) -> Result<Missing, StoreError> {
        Ok(typed.judge(&self.masks().await?.all))
    }

    /// Leaves out readings whose check characters are wrong, so that neither typing errors nor guesses are looked up.
    async fn drop_mistyped(&self, readings: &mut [Vec<String>]) -> Result<(), StoreError> {
        if self.check_key.is_none() {
            return Ok(());
        }
        let known = self.found_lately(readings.iter().flatten());
        if readings.iter().flatten().all(|reading| known.contains_key(reading)) {
            return Ok(());
        }
        let masks = self.masks().await?;
        // There may be others, of which nothing is known.
        if masks.all.len() >= MASKS_MAX as usize {
            return Ok(());
        }
        for readings in readings {
            readings.retain(|reading| known.contains_key(reading) || !masks.show_wrong_check(reading));
        }
        Ok(())
    }

    /// Returns the first of the spellings of each code that exists and belongs to a campaign.
    async fn find_first(&self, spellings: &[Vec<String>]) -> Result<Vec<Option<KnownCode>>, StoreError> {
        let mut known = self.found_lately(spellings.iter().flatten());
        let mut unknown: Vec<String> =
            spellings.iter().flatten().filter(|code| !known.contains_key(*code)).cloned().collect();
        unknown.sort_unstable();
        unknown.dedup();
        if !unknown.is_empty() {
            let stored: HashMap<String, i64> = self.store.find_run_nos(&unknown).await?.into_iter().collect();
            let origins = self.origins(&stored).await?;
            for (code, run_no) in stored {
                let Some(origin) = origins.get(&run_no) else { continue };
                let Some(campaign_no) = origin.campaign_no else { continue };
                known.insert(code.clone(), KnownCode { code, campaign_no, may_vanish: origin.may_vanish });
            }
            self.keep(known.values());
        }
        Ok(spellings.iter().map(|spellings| spellings.iter().find_map(|code| known.get(code)).cloned()).collect())
    }

    fn found_lately<'a>(&self, codes: impl Iterator<Item = &'a String>) -> HashMap<String, KnownCode> {
        let found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        codes.filter_map(|code| Some((code.clone(), found.get(code)?.clone()))).collect()
    }

    fn keep<'a>(&self, codes: impl Iterator<Item = &'a KnownCode>) {
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        if found.len() >= CODES_MAX {
            found.clear();
        }
        found.extend(codes.filter(|known| !known.may_vanish).map(|known| (known.code.clone(), known.clone())));
    }

    async fn origins(&self, stored: &HashMap<String, i64>) -> Result<HashMap<i64, RunOrigin>, StoreError> {
        let mut origins = HashMap::new();
        let mut unknown = Vec::new();
        {
            let runs = self.runs.lock().unwrap_or_else(PoisonError::into_inner);
            for run_no in stored.values() {
                match runs.get(run_no) {
                    Some(origin) => drop(origins.insert(*run_no, *origin)),
                    None => unknown.push(*run_no),
                }
            }
        }
        unknown.sort_unstable();
        unknown.dedup();
        let read = self.store.find_run_origins(&unknown).await?;
        let mut runs = self.runs.lock().unwrap_or_else(PoisonError::into_inner);
        if runs.len() + read.len() > RUNS_MAX {
            runs.clear();
        }
        for origin in read {
            origins.insert(origin.run_no, origin);
            // A campaign of this name may still be created.
            if origin.campaign_no.is_some() {
                runs.insert(origin.run_no, origin);
            }
        }
        Ok(origins)
    }

    async fn masks(&self) -> Result<Arc<Masks>, StoreError> {
        if let Some((read_at, masks)) = &*self.masks.lock().unwrap_or_else(PoisonError::into_inner)
            && read_at.elapsed() < MASKS_FRESH_FOR
        {
            return Ok(Arc::clone(masks));
        }
        let read_at = Instant::now();
        let of_jobs = self.store.list_masks(1, MASKS_MAX).await?;
        let known = of_jobs.into_iter().map(|of_jobs| {
            let fingerprints: Vec<&str> = of_jobs.check_fingerprints.iter().map(String::as_str).collect();
            KnownMask::new(of_jobs.mask, &fingerprints, self.check_key.as_ref())
        });
        let all: Vec<KnownMask> = known.collect();
        let verified = all.iter().filter(|mask| mask.verifies()).cloned().collect();
        let masks = Arc::new(Masks { all, verified });
        *self.masks.lock().unwrap_or_else(PoisonError::into_inner) = Some((read_at, Arc::clone(&masks)));
        Ok(masks)
    }
}

impl Masks {
    /// Returns true if the text cannot be a code because of its check characters. The codes of imports may have lower-case
    /// letters, of which this says nothing.
    fn show_wrong_check(&self, reading: &str) -> bool {
        if self.verified.is_empty() || reading.contains(|symbol: char| symbol.is_ascii_lowercase()) {
            return false;
        }
        let Ok(typed) = reading.parse::<Typed>() else { return false };
        let is_wrong = |masks: &[KnownMask]| typed.judge(masks) == Missing::WrongCheck;
        is_wrong(&self.verified) && is_wrong(&self.all)
    }
}

/// Returns a code as it was typed, and in upper case; nothing for a text that cannot be a code.
fn as_typed(text: &str) -> Vec<String> {
    let Ok(typed) = text.parse::<Typed>() else { return Vec::new() };
    let mut readings = vec![typed.written().to_owned()];
    let trimmed = text.trim();
    if trimmed != typed.written() && trimmed.is_ascii() {
        // An imported code may have lower-case letters.
        readings.insert(0, trimmed.to_owned());
    }
    readings
}
