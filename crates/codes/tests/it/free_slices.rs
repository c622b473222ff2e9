//! Free ranks of crowded slices: exactly those that are not taken, each drawn at most once and equally likely.

use std::collections::{BTreeSet, HashMap};

use codemint_codes::draw::Draw;
use codemint_codes::free_ranks::FreeRanks;
use codemint_codes::keyspace::Rank;
use codemint_codes::random::Stream;
use codemint_codes::slice::Slice;
use proptest::collection::vec;
use proptest::prelude::{ProptestConfig, any, prop_assert, prop_assert_eq, proptest};

use codemint_test_support::chance::{assert_equally_often, numbered_key};

const JOBS: u64 = 20_000;

fn free_of(slice: Slice, taken: &BTreeSet<Rank>) -> FreeRanks {
    let mut free = FreeRanks::new(slice);
    taken.iter().for_each(|&rank| free.take(rank));
    free
}

fn all_of(free: &FreeRanks) -> Vec<Rank> {
    free.ranks_at(&(0..u128::from(free.len())).collect::<Vec<_>>())
}

fn draw(number: u64, slice: Slice, quota: usize) -> Draw {
    Draw::new(&numbered_key(number), Stream::chunk(0, 0), slice, quota)
}

#[test]
fn slices_that_end_near_the_end_of_a_word_have_no_rank_beyond_their_end() {
    for length in [0, 1, 2, 63, 64, 65, 127, 128, 129, 192] {
        let slice = Slice { start: 1 << 90, length };
        let mut free = FreeRanks::new(slice);
        let every: Vec<Rank> = (slice.start..slice.start + length).collect();
        assert_eq!((u128::from(free.len()), all_of(&free)), (length, every.clone()));
        // Ranks on either side of the slice are ignored.
        [0, slice.start - 1, slice.start + length, u128::MAX].into_iter().for_each(|rank| free.take(rank));
        assert_eq!(u128::from(free.len()), length);
        for (taken, rank) in (1..).zip(every.into_iter().rev()) {
            free.take(rank);
            free.take(rank);
            assert_eq!(u128::from(free.len()), length - taken);
            assert_eq!(all_of(&free), (slice.start..rank).collect::<Vec<_>>());
        }
        assert!(free.is_empty() && all_of(&free).is_empty());
    }
}

#[test]
#[should_panic(expected = "too long")]
fn a_slice_that_is_too_long_for_one_bit_a_rank_panics() {
    FreeRanks::new(Slice { start: 0, length: FreeRanks::RANKS_MAX + 1 });
}

/// The number of draws of each subset.
fn subsets(draw: impl Fn(u64) -> Vec<Rank>) -> Vec<u64> {
    let mut counts: HashMap<Vec<Rank>, u64> = HashMap::new();
    (0..JOBS).for_each(|job| *counts.entry(draw(job)).or_default() += 1);
    counts.into_values().collect()
}

/// A crowded slice of `length`: `taken` are offsets in it; `subsets` is the number of sets of `quota` free ranks.
struct Crowd {
    length: u128,
    taken: &'static [u128],
    quota: usize,
    subsets: usize,
}

const CROWDS: [Crowd; 6] = [
    Crowd { length: 9, taken: &[1, 4, 5], quota: 2, subsets: 15 },
    Crowd { length: 9, taken: &[0, 1, 2, 3, 8], quota: 3, subsets: 4 },
    Crowd { length: 12, taken: &[3, 4, 5, 6, 7, 8], quota: 3, subsets: 20 },
    Crowd { length: 70, taken: &[63, 64, 69], quota: 1, subsets: 67 },
    Crowd { length: 10, taken: &[9], quota: 4, subsets: 126 },
    Crowd { length: 6, taken: &[2], quota: 5, subsets: 1 },
];

impl Crowd {
    fn slice(&self) -> Slice {
        Slice { start: 500, length: self.length }
    }

    fn taken(&self) -> BTreeSet<Rank> {
        self.taken.iter().map(|offset| 500 + offset).collect()
    }

    /// Rejects what exists, and after this many replacements draws the rest from the free ranks.
    fn fill(&self, job: u64, replacements: usize) -> Draw {
        let taken = self.taken();
        let met =
            |draw: &Draw| -> Vec<Rank> { draw.ranks().iter().copied().filter(|rank| taken.contains(rank)).collect() };
        let mut draw = draw(job, self.slice(), self.quota);
        for _ in 0..replacements {
            draw.replace(&met(&draw));
        }
        draw.reject(&met(&draw));
        draw.draw_from(free_of(self.slice(), &taken), draw.missing());
        draw
    }
}

#[test]
fn every_subset_of_the_free_ranks_is_equally_likely_after_any_replacements() {
    for crowd in &CROWDS {
        for replacements in 0..3 {
            let what = format!("{} of {} without {:?}", crowd.quota, crowd.length, crowd.taken);
            let counts = subsets(|job| crowd.fill(job, replacements).ranks().to_vec());
            assert_eq!(counts.len(), crowd.subsets, "{what}");
            if crowd.subsets > 1 {
                assert_equally_often(&counts, &format!("{what} after {replacements} replacements"));
            }
        }
    }
}

#[test]
fn free_ranks_that_others_take_meanwhile_leave_the_rest_equally_likely() {
    // Between reading and writing, another job stores the ranks 501 and 507.
    let crowd = Crowd { length: 10, taken: &[0, 4, 5], quota: 3, subsets: 10 };
    let draws = |job| {
        let mut draw = crowd.fill(job, 0);
        loop {
            let met: Vec<Rank> = draw.ranks().iter().copied().filter(|rank| [501, 507].contains(rank)).collect();
            if met.is_empty() {
                return draw.ranks().to_vec();
            }
            draw.replace(&met);
        }
    };
    let counts = subsets(draws);
    assert_eq!(counts.len(), crowd.subsets);
    assert_equally_often(&counts, "3 of what is left");
}

#[test]
fn rejected_ranks_are_not_drawn_again_even_if_they_are_free() {
    // Like reserved codes: rejected, although they are not in the store.
    let slice = Slice { start: 500, length: 40 };
    for job in 0..200 {
        let mut draw = draw(job, slice, 20);
        let given_back: Vec<Rank> = draw.ranks().iter().copied().filter(|rank| rank % 2 == 0).collect();
        draw.reject(&given_back);
        draw.draw_from(FreeRanks::new(slice), draw.missing());
        assert_eq!(draw.ranks().len(), 20);
        assert!(given_back.iter().all(|rank| !draw.ranks().contains(rank)));
    }
}

/// Fills a slice as the engine does if it is too long for one bit a rank: counts each window, allots, draws.
fn fill_in_windows(crowd: &Crowd, job: u64, window: u128) -> Vec<Rank> {
    let taken = crowd.taken();
    let mut draw = draw(job, crowd.slice(), crowd.quota);
    let met: Vec<Rank> = draw.ranks().iter().copied().filter(|rank| taken.contains(rank)).collect();
    draw.reject(&met);
    let windows: Vec<Slice> = crowd.slice().pieces(window).collect();
    let untried = |draw: &Draw, window: Slice| {
        let mut free = free_of(window, &taken);
        draw.take_tried(&mut free);
        free
    };
    let free: Vec<u64> = windows.iter().map(|&window| untried(&draw, window).len()).collect();
    let allotted = draw.allot(&free);
    assert!(allotted.iter().zip(&free).all(|(&wanted, &free)| wanted as u64 <= free));
    assert_eq!(allotted.iter().sum::<usize>(), draw.missing().min(free.iter().sum::<u64>() as usize));
    for (window, wanted) in windows.into_iter().zip(allotted) {
        assert_eq!(draw.draw_from(free_of(window, &taken), wanted).len(), wanted);
    }
    draw.ranks().to_vec()
}

#[test]
fn a_slice_read_in_windows_gives_every_subset_equally_often() {
    for crowd in CROWDS.iter().filter(|crowd| crowd.subsets > 1) {
        for window in [2, 5] {
            let counts = subsets(|job| fill_in_windows(crowd, job, window));
            assert_eq!(counts.len(), crowd.subsets);
            assert_equally_often(&counts, &format!("{} of {} in windows of {window}", crowd.quota, crowd.length));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn prop_free_ranks_are_those_that_were_not_taken(
        start in any::<u64>(), length in 0_u128..300, offsets in vec(0_u128..310, 0..300), picks in vec(any::<usize>(), 0..50)
    ) {
        let slice = Slice { start: start.into(), length };
        let taken: BTreeSet<Rank> = offsets.into_iter().map(|offset| slice.start + offset).collect();
        let free = free_of(slice, &taken);
        let naive: Vec<Rank> = (slice.start..slice.start + length).filter(|rank| !taken.contains(rank)).collect();
        prop_assert_eq!((free.len(), free.is_empty()), (naive.len() as u64, naive.is_empty()));
        prop_assert_eq!(all_of(&free), naive.clone());
        let picked: BTreeSet<usize> = picks.into_iter().filter(|_| !naive.is_empty()).map(|pick| pick % naive.len()).collect();
        let indexes: Vec<u128> = picked.iter().map(|&index| index as u128).collect();
        prop_assert_eq!(free.ranks_at(&indexes), picked.iter().map(|&index| naive[index]).collect::<Vec<_>>());
    }

    #[test]
    fn prop_ranks_drawn_from_a_crowded_slice_are_new_free_and_inside_it(
        number in any::<u64>(), length in 1_u128..200, share in 0_usize..=100, offsets in vec(0_u128..200, 0..200), later in vec(0_u128..200, 0..20)
    ) {
        let slice = Slice { start: 7, length };
        let quota = length as usize * share / 100;
        let mut taken: BTreeSet<Rank> = offsets.into_iter().map(|offset| 7 + offset).collect();
        let mut draw = draw(number, slice, quota);
        let met = |draw: &Draw, taken: &BTreeSet<Rank>| -> Vec<Rank> {
            draw.ranks().iter().copied().filter(|rank| taken.contains(rank)).collect()
        };
        let before: Vec<Rank> = met(&draw, &taken);
        draw.reject(&before);
        let kept = draw.ranks().to_vec();
        let fresh = draw.draw_from(free_of(slice, &taken), draw.missing());
        prop_assert!(fresh.iter().all(|rank| !taken.contains(rank) && !kept.contains(rank) && slice.contains(*rank)));
        // Others take these after the slice was read.
        taken.extend(later.into_iter().map(|offset| 7 + offset));
        loop {
            let met = met(&draw, &taken);
            if met.is_empty() {
                break;
            }
            let replaced = draw.replace(&met);
            prop_assert!(replaced.iter().all(|rank| slice.contains(*rank) && !met.contains(rank)));
        }
        prop_assert!(draw.ranks().is_sorted_by(|a, b| a < b));
        prop_assert!(draw.ranks().iter().all(|rank| slice.contains(*rank) && !taken.contains(rank)));
        let free = free_of(slice, &taken).len();
        prop_assert_eq!(draw.ranks().len(), quota.min(free as usize), "all of the {} free ones, or the quota", free);
    }
}
