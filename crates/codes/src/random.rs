//! Random integers: their keys, the streams under a key, and bounds without bias. Part of generator version 1.
//!
//! Bounded integers are implemented here, because every draw must stay the same for as long as a job with this version
//! may be resumed, whatever a library changes between its releases. Only ChaCha20 itself comes from a library.

use std::fmt;

use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// The secret of one job: 32 bytes from the operating system. `Debug` does not show them.
#[derive(Clone, PartialEq, Eq)]
pub struct Key([u8; 32]);

impl Key {
    pub const LENGTH_BYTES: usize = 32;

    pub const fn new(bytes: [u8; Self::LENGTH_BYTES]) -> Self {
        Self(bytes)
    }

    /// Returns the bytes for the store, which keeps the key until the job ends.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(secret)")
    }
}

/// An independent sequence of random words under one key: ChaCha20 with this stream number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stream(u64);

impl Stream {
    /// Returns the stream for the draws of one chunk. `chunk_no` is below `u32::MAX`, which belongs to the quotas.
    pub const fn chunk(round: u32, chunk_no: u32) -> Self {
        Self((round as u64) << 32 | chunk_no as u64)
    }

    /// Returns the stream for the starting point of a round's quotas.
    pub const fn quotas(round: u32) -> Self {
        Self::chunk(round, u32::MAX)
    }
}

/// The random integers of one stream: the same key and stream always give the same integers.
///
/// ```
/// use codemint_codes::random::{Key, RandomIntegers, Stream};
///
/// let key = Key::new([7; 32]);
/// let drawn = |stream| RandomIntegers::new(&key, stream).below(1_000_000_000);
/// assert_eq!(drawn(Stream::chunk(0, 3)), drawn(Stream::chunk(0, 3)));
/// assert_ne!(drawn(Stream::chunk(0, 3)), drawn(Stream::chunk(0, 4)));
/// ```
#[derive(Clone, Debug)]
pub struct RandomIntegers(ChaCha20Rng);

impl RandomIntegers {
    pub fn new(key: &Key, stream: Stream) -> Self {
        let mut words = ChaCha20Rng::from_seed(key.0);
        words.set_stream(stream.0);
        Self(words)
    }

    /// Returns an integer below `bound` (at least 1), each equally likely. Up to 2^64 - 1 like [`Self::below_u64`].
    pub fn below(&mut self, bound: u128) -> u128 {
        match u64::try_from(bound) {
            Ok(narrow) => u128::from(self.below_u64(narrow)),
            Err(_too_wide) => {
                let spare_bits = (bound - 1).leading_zeros();
                loop {
                    let high = u128::from(self.0.next_u64());
                    let number = (high << 64 | u128::from(self.0.next_u64())) >> spare_bits;
                    if number < bound {
                        return number;
                    }
                }
            }
        }
    }

    /// Applies Lemire's multiplication method: the result is the high half of word * bound, unless the low half falls
    /// into the part that would favour some results.
    pub fn below_u64(&mut self, bound: u64) -> u64 {
        loop {
            let product = u128::from(self.0.next_u64()) * u128::from(bound);
            let low = product as u64;
            if low >= bound || low >= bound.wrapping_neg() % bound {
                return (product >> 64) as u64;
            }
        }
    }
}
