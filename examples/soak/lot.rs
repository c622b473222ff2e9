//! Random choices, repeatable by a seed.

use std::time::Duration;

use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use uuid::Uuid;

pub struct Lot(ChaCha20Rng);

impl Lot {
    /// Creates a generator. Those of one seed with different numbers are independent of each other.
    pub fn new(seed: u64, number: u64) -> Self {
        let mut random = ChaCha20Rng::seed_from_u64(seed);
        random.set_stream(number);
        Self(random)
    }

    /// Returns a number below `bound`, evenly enough for a test.
    pub fn below(&mut self, bound: usize) -> usize {
        (self.0.next_u64() % bound as u64) as usize
    }

    pub fn one_of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }

    /// Returns a number up to `most`; 1 to 9 together are as likely as 10 to 99.
    pub fn of_any_size(&mut self, most: u64) -> u64 {
        let part = self.0.next_u32() as f64 / f64::from(u32::MAX);
        ((most as f64).powf(part) as u64).clamp(1, most)
    }

    pub fn pause(&mut self, from: Duration, to: Duration) -> Duration {
        from + Duration::from_millis(self.below((to - from).as_millis() as usize) as u64)
    }

    pub fn id(&mut self) -> Uuid {
        uuid::Builder::from_random_bytes(std::array::from_fn(|_| self.0.next_u32() as u8)).into_uuid()
    }
}
