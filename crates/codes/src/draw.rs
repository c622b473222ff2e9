//! Draws the codes of a slice: the heart of the program. Generator version 1, frozen by golden vectors.

use crate::free_ranks::FreeRanks;
use crate::keyspace::Rank;
use crate::random::{Key, RandomIntegers, Stream};
use crate::slice::Slice;

/// The candidates of one chunk: distinct ranks of its slice, ascending, drawn without replacement.
///
/// ```
/// use codemint_codes::draw::Draw;
/// use codemint_codes::random::{Key, Stream};
/// use codemint_codes::slice::Slice;
///
/// let slice = Slice { start: 100, length: 50 };
/// let mut draw = Draw::new(&Key::new([7; 32]), Stream::chunk(0, 0), slice, 5);
/// assert_eq!(draw.ranks().len(), 5);
///
/// let taken = draw.ranks()[0];
/// draw.replace(&[taken]);
/// assert_eq!(draw.ranks().len(), 5);
/// assert!(!draw.ranks().contains(&taken));
/// ```
#[derive(Debug)]
pub struct Draw {
    slice: Slice,
    quota: usize,
    random: RandomIntegers,
    accepted: Vec<Rank>,
    rejected: Vec<Rank>,
    /// The accepted and rejected ranks, once candidates have been replaced.
    tried: Option<Tried>,
    /// The free ranks that replacements are drawn from, once the slice has proved to be crowded.
    free: Option<FreeRanks>,
}

impl Draw {
    /// Draws `quota` ranks, or the whole slice if it holds fewer.
    pub fn new(key: &Key, stream: Stream, slice: Slice, quota: usize) -> Self {
        let mut random = RandomIntegers::new(key, stream);
        let mut accepted = sample(&mut random, slice.length, quota);
        accepted.iter_mut().for_each(|rank| *rank += slice.start);
        Self { slice, quota, random, accepted, rejected: Vec::new(), tried: None, free: None }
    }

    /// Returns the candidates, ascending. They are fewer than the quota only if no rank of the slice is left untried.
    pub fn ranks(&self) -> &[Rank] {
        &self.accepted
    }

    /// Returns how many candidates were rejected so far.
    pub fn rejected(&self) -> usize {
        self.rejected.len()
    }

    pub fn slice(&self) -> Slice {
        self.slice
    }

    /// Returns how many candidates are missing from the quota.
    pub fn missing(&self) -> usize {
        self.quota - self.accepted.len()
    }

    /// Rejects candidates permanently. `taken` is ascending.
    pub fn reject(&mut self, taken: &[Rank]) {
        self.accepted.retain(|rank| taken.binary_search(rank).is_err());
        self.rejected.extend_from_slice(taken);
    }

    /// Rejects candidates permanently, draws others, and returns these in ascending order. `taken` is ascending.
    pub fn replace(&mut self, taken: &[Rank]) -> Vec<Rank> {
        self.reject(taken);
        let missing = self.missing();
        let drawn = match &self.free {
            Some(free) => draw_free(&mut self.random, free, taken.len().min(missing)),
            None => self.draw_untried(),
        };
        self.accept(&drawn);
        drawn
    }

    /// Switches a crowded slice to free ranks: draws and returns `wanted` of them, and draws only free ranks from now
    /// on. `free` knows what the store holds of the slice or a part of it; `wanted` is at most `missing`.
    pub fn draw_from(&mut self, mut free: FreeRanks, wanted: usize) -> Vec<Rank> {
        self.take_tried(&mut free);
        let drawn = draw_free(&mut self.random, &free, wanted);
        self.free = Some(free);
        self.accept(&drawn);
        drawn
    }

    /// Marks the ranks that were drawn before, accepted or not, as taken.
    pub fn take_tried(&self, free: &mut FreeRanks) {
        self.accepted.iter().chain(&self.rejected).for_each(|&rank| free.take(rank));
    }

    /// Returns how many of the missing candidates each piece of a slice gives, so that every subset of all free ranks
    /// is equally likely. `free` is the number of free ranks of each piece.
    pub fn allot(&mut self, free: &[u64]) -> Vec<usize> {
        let all = free.iter().map(|&free| u128::from(free)).sum();
        let missing = self.missing();
        let drawn = sample(&mut self.random, all, missing);
        let mut end = 0;
        let count = |free: &u64| {
            let start = end;
            end += u128::from(*free);
            drawn.partition_point(|&index| index < end) - drawn.partition_point(|&index| index < start)
        };
        free.iter().map(count).collect()
    }

    fn accept(&mut self, drawn: &[Rank]) {
        if let Some(free) = &mut self.free {
            drawn.iter().for_each(|&rank| free.take(rank));
        }
        self.accepted.extend_from_slice(drawn);
        // The stable sort recognizes two ascending sequences and merges them.
        self.accepted.sort();
    }

    fn draw_untried(&mut self) -> Vec<Rank> {
        let missing = self.missing();
        let all = || Tried::new(self.accepted.iter().chain(&self.rejected).copied().collect());
        let tried = self.tried.get_or_insert_with(all);
        let mut drawn = sample(&mut self.random, self.slice.length - tried.len(), missing);
        tried.skip_over(&mut drawn, self.slice.start);
        tried.insert(&drawn);
        drawn
    }
}

/// The version stored with every job. A change here, in `random` or in `slice::quotas` that changes a draw needs a new
/// number.
pub const GENERATOR_VERSION: u32 = 1;

fn draw_free(random: &mut RandomIntegers, free: &FreeRanks, wanted: usize) -> Vec<Rank> {
    free.ranks_at(&sample(random, u128::from(free.len()), wanted))
}

/// The ranks that were drawn before, in two ascending sequences, so that a few more do not move all of them: where next
/// to nothing is allowed, a million may be drawn one by one.
#[derive(Debug)]
struct Tried {
    settled: Vec<Rank>,
    recent: Vec<Rank>,
}

/// The number of ranks that can be passed one by one at about the cost of searching for one index.
const SEARCH_COST_RANKS: usize = 256;

impl Tried {
    fn new(mut ranks: Vec<Rank>) -> Self {
        ranks.sort_unstable();
        Self { settled: ranks, recent: Vec::new() }
    }

    fn len(&self) -> u128 {
        (self.settled.len() + self.recent.len()) as u128
    }

    fn insert(&mut self, drawn: &[Rank]) {
        self.recent.extend_from_slice(drawn);
        // The stable sorts recognize two ascending sequences and merge them.
        self.recent.sort();
        if self.recent.len().saturating_pow(2) > self.settled.len() {
            self.settle();
        }
    }

    fn settle(&mut self) {
        self.settled.append(&mut self.recent);
        self.settled.sort();
    }

    /// Turns ascending indexes among the untried ranks into those ranks.
    fn skip_over(&mut self, indexes: &mut [u128], start: Rank) {
        if indexes.len().saturating_mul(SEARCH_COST_RANKS) < self.settled.len() {
            indexes.iter_mut().for_each(|index| *index = self.untried_at(*index, start));
        } else {
            self.settle();
            skip_over(indexes, start, &self.settled);
        }
    }

    /// Returns the untried rank at this index, by searching for the least number of tried ranks to skip.
    fn untried_at(&self, index: u128, start: Rank) -> Rank {
        let (mut skipped, mut skipped_at_most) = (0, self.len());
        while skipped < skipped_at_most {
            let middle = u128::midpoint(skipped, skipped_at_most);
            if self.count_up_to(start + index + middle) <= middle {
                skipped_at_most = middle;
            } else {
                skipped = middle + 1;
            }
        }
        start + index + skipped
    }

    fn count_up_to(&self, rank: Rank) -> u128 {
        let count = |run: &[Rank]| run.partition_point(|&tried| tried <= rank) as u128;
        count(&self.settled) + count(&self.recent)
    }
}

/// Turns ascending indexes among the ranks that are not in `tried` into those ranks. `tried` is ascending.
fn skip_over(indexes: &mut [u128], start: Rank, tried: &[Rank]) {
    let mut skipped = 0;
    for index in indexes {
        while tried.get(skipped).is_some_and(|&rank| rank <= start + *index + skipped as u128) {
            skipped += 1;
        }
        *index += start + skipped as u128;
    }
}

/// Returns `wanted` distinct integers below `size` (all if there are fewer), ascending; every subset is equally likely.
fn sample(random: &mut RandomIntegers, size: u128, wanted: usize) -> Vec<u128> {
    let wanted = size.min(wanted as u128) as usize;
    if 2 * wanted as u128 >= size {
        return sample_dense(random, size, wanted);
    }
    match u64::try_from(size) {
        // The same draws in half the width: sorting takes a third of the time.
        Ok(size) => {
            let drawn = sample_sparse(wanted, || random.below_u64(size));
            drawn.into_iter().map(u128::from).collect()
        }
        Err(_too_wide) => sample_sparse(wanted, || random.below(size)),
    }
}

/// Draws, sorts, drops repeats and tops up by exactly the deficit: this gives the same subset as drawing one by one
/// until enough are distinct.
fn sample_sparse<N: Copy + Ord>(wanted: usize, mut draw: impl FnMut() -> N) -> Vec<N> {
    let mut drawn = Vec::with_capacity(wanted);
    while drawn.len() < wanted {
        let sorted = drawn.len();
        drawn.extend(std::iter::repeat_with(&mut draw).take(wanted - sorted));
        drawn[sorted..].sort_unstable();
        if sorted > 0 {
            // The stable sort recognizes two ascending sequences and merges them.
            drawn.sort();
        }
        drawn.dedup();
    }
    drawn
}

/// Makes one pass over all integers, taking each with the chance that the rest still needs it (selection sampling).
fn sample_dense(random: &mut RandomIntegers, size: u128, wanted: usize) -> Vec<u128> {
    let mut drawn = Vec::with_capacity(wanted);
    for index in 0..size {
        let missing = (wanted - drawn.len()) as u128;
        if missing == 0 {
            break;
        }
        let left = size - index;
        if missing == left || random.below(left) < missing {
            drawn.push(index);
        }
    }
    drawn
}

#[cfg(test)]
mod tests {
    use super::{Tried, sample, sample_sparse, skip_over};
    use crate::keyspace::Rank;
    use crate::random::{Key, RandomIntegers, Stream};

    #[test]
    fn a_sample_is_topped_up_by_exactly_its_repeats() {
        let mut numbers = [5, 5, 3, 5, 9, 1].into_iter();
        assert_eq!(sample_sparse(3, || numbers.next().unwrap_or_default()), [3, 5, 9]);
        assert_eq!(numbers.next(), Some(1), "no number more than needed was drawn");
    }

    #[test]
    fn a_sample_that_wants_everything_or_more_is_everything() {
        let mut random = RandomIntegers::new(&Key::new([1; 32]), Stream::chunk(0, 0));
        for wanted in [10, 11, 1000] {
            assert_eq!(sample(&mut random, 10, wanted), (0..10).collect::<Vec<u128>>());
        }
        assert!(sample(&mut random, 10, 0).is_empty());
    }

    #[test]
    fn untried_ranks_are_the_same_by_searching_and_by_passing() {
        let mut tried = Tried::new(vec![107, 100, 103, 104]);
        tried.insert(&[101, 110]);
        let untried: Vec<Rank> = (100..120).filter(|rank| ![100, 101, 103, 104, 107, 110].contains(rank)).collect();
        let searched: Vec<Rank> = (0..untried.len()).map(|index| tried.untried_at(index as u128, 100)).collect();
        let mut passed: Vec<Rank> = (0..untried.len() as u128).collect();
        skip_over(&mut passed, 100, &[100, 101, 103, 104, 107, 110]);
        assert_eq!((&searched, &passed), (&untried, &untried));
    }
}
