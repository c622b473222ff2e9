//! Fairness, counted over many jobs: every code of a keyspace is equally likely, alone and together with others.
//!
//! The keys are numbered, so every run has the same result; a fair generator misses a bound once in a million times.

use std::collections::HashMap;

use codemint_codes::draw::Draw;
use codemint_codes::keyspace::Rank;
use codemint_codes::random::{RandomIntegers, Stream};
use codemint_codes::slice::{Slice, quotas};

use codemint_test_support::chance::{assert_equally_often, assert_is_chi_square, chi_square, numbered_key};

const JOBS: u64 = 20_000;

/// A job as the pipeline draws it: quotas, then each slice from its own stream.
struct Plan {
    size: u128,
    count: u64,
    slices: u32,
    round: u32,
}

/// The number of times each rank was drawn, and sums over the quotas.
struct Tally {
    ranks: Vec<u64>,
    /// Per slice: the sum of its quotas, and of quota * (quota - 1).
    quotas: Vec<(u64, u64)>,
}

impl Plan {
    fn slices(&self) -> Vec<Slice> {
        (0..self.slices).map(|index| Slice::of_keyspace(self.size, self.slices, index)).collect()
    }

    fn draw(&self, job: u64) -> Vec<(u64, Vec<Rank>)> {
        let key = numbered_key(job);
        let given = quotas(&key, self.round, self.size, self.count, self.slices).enumerate();
        let draws = given.map(|(chunk_no, (slice, quota))| {
            let stream = Stream::chunk(self.round, chunk_no as u32);
            (quota, Draw::new(&key, stream, slice, quota as usize).ranks().to_vec())
        });
        draws.collect()
    }

    fn tally(&self) -> Tally {
        let mut tally = Tally { ranks: vec![0; self.size as usize], quotas: vec![(0, 0); self.slices as usize] };
        for job in 0..JOBS {
            for (index, (quota, ranks)) in self.draw(job).into_iter().enumerate() {
                tally.quotas[index].0 += quota;
                tally.quotas[index].1 += quota * quota.saturating_sub(1);
                ranks.into_iter().for_each(|rank| tally.ranks[rank as usize] += 1);
            }
        }
        tally
    }
}

/// Sparse, dense, both at once, uneven slices, uneven quotas, slices that may give nothing, and one slice alone.
const PLANS: [Plan; 7] = [
    Plan { size: 67, count: 12, slices: 5, round: 0 },
    Plan { size: 67, count: 50, slices: 5, round: 0 },
    Plan { size: 24, count: 11, slices: 5, round: 1 },
    Plan { size: 100, count: 9, slices: 7, round: 0 },
    Plan { size: 31, count: 4, slices: 3, round: 2 },
    Plan { size: 40, count: 7, slices: 1, round: 0 },
    Plan { size: 40, count: 33, slices: 1, round: 0 },
];

/// A rank is in a job or not, with the probability `count / size`: over the jobs its count is binomial, whatever the
/// other ranks do.
#[test]
fn every_rank_of_a_keyspace_is_drawn_equally_often() {
    for plan in PLANS {
        let chance = plan.count as f64 / plan.size as f64;
        let (mean, variance) = (JOBS as f64 * chance, JOBS as f64 * chance * (1.0 - chance));
        for (rank, count) in plan.tally().ranks.into_iter().enumerate() {
            let sigmas = (count as f64 - mean) / variance.sqrt();
            // One in a million holds for each rank, not for all of them: 5.5 sigma makes up for the 369 comparisons.
            assert!(sigmas.abs() < 5.5, "rank {rank} of {}: {count} of {JOBS}, {sigmas:.1} sigma", plan.size);
        }
    }
}

/// The test goes slice by slice, so that the statistic really is chi-square. One job draws without replacement, which
/// makes counts more even than throws of dice: a rank of a slice that gives `m` of `s` has the probability `m / s`, two
/// ranks together have `m (m - 1) / (s (s - 1))`. So the `s - 1` independent differences among the counts have the
/// variance `m / s - m (m - 1) / (s (s - 1))`, summed over the quotas `m` that the jobs had.
#[test]
fn the_ranks_of_a_slice_are_drawn_neither_more_nor_less_evenly_than_at_random() {
    for plan in PLANS {
        let tally = plan.tally();
        let (mut statistic, mut degrees) = (0.0, 0);
        for (slice, (quota_sum, pair_sum)) in plan.slices().into_iter().zip(tally.quotas) {
            let counts = &tally.ranks[slice.start as usize..(slice.start + slice.length) as usize];
            let length = slice.length as f64;
            let variance = quota_sum as f64 / length - pair_sum as f64 / (length * (length - 1.0));
            let mean = quota_sum as f64 / length;
            statistic += counts.iter().map(|&count| (count as f64 - mean).powi(2) / variance).sum::<f64>();
            degrees += counts.len() - 1;
        }
        assert_is_chi_square(statistic, degrees, &format!("{} of {}", plan.count, plan.size));
    }
}

/// Returns how often each subset of a slice was drawn. Subsets exclude each other, so chi-square needs no correction,
/// and if they are all equally likely, so is every pair of ranks and every other combination.
fn subsets(draw: impl Fn(u64) -> Vec<Rank>, jobs: u64) -> Vec<u64> {
    let mut counts: HashMap<Vec<Rank>, u64> = HashMap::new();
    (0..jobs).for_each(|job| *counts.entry(draw(job)).or_default() += 1);
    counts.into_values().collect()
}

#[test]
fn every_subset_of_a_slice_is_drawn_equally_often() {
    // Length, quota and the binomial coefficient: sparse ones first.
    for (length, quota, subsets_expected) in
        [(9, 1, 9), (8, 3, 56), (9, 4, 126), (20, 3, 1140), (8, 4, 70), (7, 4, 35), (7, 5, 21), (9, 8, 9)]
    {
        let slice = Slice { start: 10, length };
        let draw = |job| Draw::new(&numbered_key(job), Stream::chunk(0, 3), slice, quota).ranks().to_vec();
        let counts = subsets(draw, JOBS);
        assert_eq!(counts.len(), subsets_expected, "{quota} of {length}: no subset is left out");
        assert_equally_often(&counts, &format!("{quota} of {length}"));
    }
}

#[test]
fn free_ranks_stay_equally_likely_when_other_ranks_are_taken() {
    for (length, quota, taken, subsets_expected) in [
        (9, 3, &[11, 14, 15][..], 20),
        (9, 2, &[10, 12, 13, 18][..], 10),
        (12, 3, &[14][..], 165),
        (6, 4, &[15][..], 5),
    ] {
        let slice = Slice { start: 10, length };
        let draw = |job| {
            let mut draw = Draw::new(&numbered_key(job), Stream::chunk(0, 0), slice, quota);
            loop {
                let met: Vec<Rank> = draw.ranks().iter().copied().filter(|rank| taken.contains(rank)).collect();
                if met.is_empty() {
                    return draw.ranks().to_vec();
                }
                draw.replace(&met);
            }
        };
        let counts = subsets(draw, JOBS);
        assert_eq!(counts.len(), subsets_expected, "{quota} of {length} without {taken:?}");
        assert_equally_often(&counts, &format!("{quota} of {length} without {taken:?}"));
    }
}

#[test]
fn draws_from_different_streams_are_independent() {
    let slice = Slice { start: 0, length: 6 };
    for (a, b) in [
        (Stream::chunk(0, 0), Stream::chunk(0, 1)),
        (Stream::chunk(0, 0), Stream::chunk(1, 0)),
        (Stream::chunk(0, 1), Stream::chunk(1, 0)),
        (Stream::chunk(0, 0), Stream::quotas(0)),
    ] {
        let counts = subsets(
            |job| {
                [a, b]
                    .iter()
                    .flat_map(|&stream| Draw::new(&numbered_key(job), stream, slice, 1).ranks().to_vec())
                    .collect()
            },
            JOBS,
        );
        assert_eq!(counts.len(), 36, "{a:?} {b:?}");
        assert_equally_often(&counts, &format!("{a:?} {b:?}"));
    }
}

/// Below 3 * 2^62 a quarter of the words must be rejected, or one residue of three would occur twice as often.
#[test]
fn a_bound_that_is_not_a_power_of_two_favours_no_result() {
    for bound in [3, 3 << 62, 3 << 64, 3 << 90, 10_u128.pow(25)] {
        let mut random = RandomIntegers::new(&numbered_key(0), Stream::chunk(0, 0));
        let (mut residues, mut ranges) = ([0; 3], [0; 3]);
        for _ in 0..30_000 {
            let number = random.below(bound);
            residues[(number % 3) as usize] += 1;
            ranges[(number / bound.div_ceil(3)) as usize] += 1;
        }
        assert_equally_often(&residues, &format!("residues below {bound}"));
        assert_equally_often(&ranges, &format!("ranges below {bound}"));
    }
}

#[test]
fn every_starting_point_of_the_quotas_is_equally_likely() {
    for (round, size) in [(0, 67_u32), (1, 24), (2, 100)] {
        let mut counts = vec![0; size as usize];
        for job in 0..JOBS {
            counts[RandomIntegers::new(&numbered_key(job), Stream::quotas(round)).below(size.into()) as usize] += 1;
        }
        assert_equally_often(&counts, &format!("{size} starting points"));
    }
}

/// For 100 degrees the quantiles are 46.50 and 182.13, for 12 they are 0.63 and 50.83; the approximation is a little
/// wider.
#[test]
fn the_bounds_are_the_quantiles_of_chi_square() {
    let is_inside =
        |statistic, degrees| std::panic::catch_unwind(|| assert_is_chi_square(statistic, degrees, "a probe")).is_ok();
    assert_eq!([46.0, 46.5, 100.0, 182.1, 183.0].map(|probe| is_inside(probe, 100)), [false, true, true, true, false]);
    assert_eq!([0.4, 0.7, 12.0, 50.8, 52.0].map(|probe| is_inside(probe, 12)), [false, true, true, true, false]);
}

#[test]
fn equal_cells_have_no_distance_and_unequal_cells_do() {
    assert_eq!(chi_square(&[10; 6]), 0.0);
    assert_eq!(chi_square(&[5, 15]), 5.0);
}
