//! The free ranks of a slice, for slices so crowded that drawing and looking up would not end.

use crate::keyspace::Rank;
use crate::slice::Slice;

const WORD_BITS: usize = u64::BITS as usize;

/// A set with one bit per rank: at most [`FreeRanks::RANKS_MAX`] ranks, so at most 8 MiB, however many are taken.
///
/// ```
/// use codemint_codes::free_ranks::FreeRanks;
/// use codemint_codes::slice::Slice;
///
/// let mut free = FreeRanks::new(Slice { start: 100, length: 5 });
/// free.take(101);
/// free.take(103);
/// assert_eq!(free.len(), 3);
/// assert_eq!(free.ranks_at(&[0, 1, 2]), [100, 102, 104]);
/// ```
#[derive(Clone, Debug)]
pub struct FreeRanks {
    slice: Slice,
    /// The bits of the ranks that are taken; the bits after the slice's end are set too.
    taken: Vec<u64>,
    free: u64,
}

impl FreeRanks {
    pub const RANKS_MAX: u128 = 1 << 26;
    /// The number of ranks whose codes are read at once: a few MiB of text.
    pub const PAGE_RANKS: u128 = 1 << 17;

    /// Creates the set for a slice of at most [`Self::RANKS_MAX`] ranks, with all ranks free.
    ///
    /// # Panics
    /// If the slice is longer.
    pub fn new(slice: Slice) -> Self {
        assert!(slice.length <= Self::RANKS_MAX, "a slice of {} ranks is too long for one bit each", slice.length);
        let length = slice.length as usize;
        let mut taken = vec![0; length.div_ceil(WORD_BITS)];
        if let (Some(last), 1..) = (taken.last_mut(), length % WORD_BITS) {
            *last = u64::MAX << (length % WORD_BITS);
        }
        Self { slice, taken, free: length as u64 }
    }

    /// Returns the number of free ranks.
    pub fn len(&self) -> u64 {
        self.free
    }

    pub fn is_empty(&self) -> bool {
        self.free == 0
    }

    /// Marks a rank as taken; ignores a rank outside the slice.
    pub fn take(&mut self, rank: Rank) {
        if !self.slice.contains(rank) {
            return;
        }
        let offset = (rank - self.slice.start) as usize;
        let (word, bit) = (&mut self.taken[offset / WORD_BITS], 1 << (offset % WORD_BITS));
        if *word & bit == 0 {
            *word |= bit;
            self.free -= 1;
        }
    }

    /// Returns the free ranks at these positions among all free ranks. `indexes` are ascending and below [`Self::len`].
    pub fn ranks_at(&self, indexes: &[u128]) -> Vec<Rank> {
        let mut ranks = Vec::with_capacity(indexes.len());
        let mut wanted = indexes.iter().peekable();
        let mut free_before: u128 = 0;
        for (word, taken) in self.taken.iter().enumerate() {
            let free_after = free_before + u128::from(taken.count_zeros());
            if wanted.peek().is_some_and(|&&index| index < free_after) {
                let first_rank = self.slice.start + (word * WORD_BITS) as u128;
                for (index, bit) in (free_before..).zip(set_bits(!taken)) {
                    if wanted.next_if_eq(&&index).is_some() {
                        ranks.push(first_rank + u128::from(bit));
                    }
                }
            }
            free_before = free_after;
        }
        ranks
    }
}

/// Returns the positions of the bits that are set, in ascending order.
fn set_bits(bits: u64) -> impl Iterator<Item = u32> {
    let without_lowest = |bits: &u64| Some(bits & bits.wrapping_sub(1));
    std::iter::successors(Some(bits), without_lowest).take_while(|bits| *bits != 0).map(u64::trailing_zeros)
}

#[cfg(test)]
mod tests {
    use super::set_bits;

    #[test]
    fn the_set_bits_of_a_word_come_in_ascending_order() {
        let found = |bits| set_bits(bits).collect::<Vec<u32>>();
        assert!(found(0).is_empty());
        assert_eq!(found(0b1010_0001), [0, 5, 7]);
        assert_eq!(found(1 << 63 | 1), [0, 63]);
        assert_eq!(found(u64::MAX), (0..64).collect::<Vec<u32>>());
    }
}
