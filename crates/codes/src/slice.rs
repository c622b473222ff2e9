//! Slices of a keyspace, and how many codes each of them gives.

use crate::keyspace::{Keyspace, Rank};
use crate::random::{Key, RandomIntegers, Stream};

/// A contiguous range of ranks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slice {
    pub start: Rank,
    pub length: u128,
}

impl Slice {
    /// Returns slice `index` of the `slices` that partition a keyspace of `size` ranks; lengths differ by at most one.
    ///
    /// ```
    /// use codemint_codes::slice::Slice;
    ///
    /// let lengths: Vec<u128> = (0..3).map(|index| Slice::of_keyspace(11, 3, index).length).collect();
    /// assert_eq!(lengths, [4, 4, 3]);
    /// ```
    pub fn of_keyspace(size: u128, slices: u32, index: u32) -> Self {
        let (slices, index) = (u128::from(slices), u128::from(index));
        let (length, longer) = (size / slices, size % slices);
        Self { start: index * length + index.min(longer), length: length + u128::from(index < longer) }
    }

    pub fn whole(keyspace: &Keyspace) -> Self {
        Self { start: 0, length: keyspace.size() }
    }

    /// Returns the first and last code that the slice could have, whatever the check key: its codes lie between them.
    pub fn range(self, keyspace: &Keyspace) -> (String, String) {
        let (first, last) = (keyspace.first_code(self.start), keyspace.last_code(self.start + self.length - 1));
        (first.unwrap_or_default(), last.unwrap_or_default())
    }

    pub fn contains(&self, rank: Rank) -> bool {
        rank >= self.start && rank - self.start < self.length
    }

    /// Cuts the slice into pieces of this length; the last one may be shorter.
    ///
    /// ```
    /// use codemint_codes::slice::Slice;
    ///
    /// let pieces: Vec<(u128, u128)> =
    ///     Slice { start: 5, length: 7 }.pieces(3).map(|piece| (piece.start, piece.length)).collect();
    /// assert_eq!(pieces, [(5, 3), (8, 3), (11, 1)]);
    /// ```
    pub fn pieces(self, length: u128) -> impl Iterator<Item = Self> {
        let pieces = self.length.div_ceil(length);
        (0..pieces).map(move |piece| {
            let before = piece * length;
            Self { start: self.start + before, length: length.min(self.length - before) }
        })
    }
}

/// Returns how many codes each slice gives: systematic sampling with one random starting point, so that every rank's
/// chance is exactly count / size. The quotas add up to `count` and none exceeds its slice.
///
/// Requires `1 <= slices <= count <= size`, `size` below 2^100 and `count / slices` at most 2^20.
///
/// ```
/// use codemint_codes::random::Key;
/// use codemint_codes::slice::quotas;
///
/// let given: Vec<u64> = quotas(&Key::new([7; 32]), 0, 1000, 10, 3).map(|(_slice, quota)| quota).collect();
/// assert_eq!(given.iter().sum::<u64>(), 10);
/// assert!(given.iter().all(|quota| (3..=4).contains(quota)));
/// ```
pub fn quotas(key: &Key, round: u32, size: u128, count: u64, slices: u32) -> impl Iterator<Item = (Slice, u64)> {
    let mut remainder = RandomIntegers::new(key, Stream::quotas(round)).below(size);
    (0..slices).map(move |index| {
        let slice = Slice::of_keyspace(size, slices, index);
        let share = remainder + slice.length * u128::from(count);
        remainder = share % size;
        (slice, (share / size) as u64)
    })
}
