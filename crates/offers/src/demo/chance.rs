//! Chance that follows from a seed: the same seed always gives the same choices.

use chrono::{DateTime, TimeDelta, Utc};
use codemint_codes::random::{Key, RandomIntegers, Stream};
use sha2::{Digest, Sha256};
use uuid::Uuid;

/// A sequence of choices.
#[derive(Clone, Debug)]
pub(super) struct Chance(RandomIntegers);

impl Chance {
    /// Returns the sequence of a seed for one purpose. Those of different purposes are independent.
    pub(super) fn new(seed: u64, purpose: &str) -> Self {
        let digest = Sha256::new().chain_update("codemint demo").chain_update(seed.to_be_bytes()).chain_update(purpose);
        Self(RandomIntegers::new(&Key::new(digest.finalize().into()), Stream::chunk(0, 0)))
    }

    /// Returns a number below `bound`, each equally likely; 0 if the bound is 0.
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.0.below_u64(bound.max(1))
    }

    /// Returns a number from `low` to `high`, which are both possible.
    pub(super) fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.below(high.saturating_sub(low) + 1)
    }

    /// Returns true in this many of a thousand cases.
    pub(super) fn happens(&mut self, per_mille: u64) -> bool {
        self.below(1000) < per_mille
    }

    /// # Panics
    /// If there is nothing to choose from.
    pub(super) fn pick<'a, T>(&mut self, choices: &'a [T]) -> &'a T {
        &choices[self.below(choices.len() as u64) as usize]
    }

    /// Returns a place, each as likely as its weight; 0 if there are no weights.
    pub(super) fn weighted(&mut self, weights: &[u64]) -> usize {
        let mut left = self.below(weights.iter().sum());
        for (place, weight) in weights.iter().enumerate() {
            if left < *weight {
                return place;
            }
            left -= weight;
        }
        0
    }

    pub(super) fn seconds(&mut self, low: u64, high: u64) -> TimeDelta {
        TimeDelta::milliseconds(self.between(low * 1000, high * 1000).cast_signed())
    }

    /// Returns an id of version 7 of this time.
    pub(super) fn uuid(&mut self, at: DateTime<Utc>) -> Uuid {
        let mut random = [0; 10];
        random.fill_with(|| self.below(256) as u8);
        uuid::Builder::from_unix_timestamp_millis(at.timestamp_millis().unsigned_abs(), &random).into_uuid()
    }
}
