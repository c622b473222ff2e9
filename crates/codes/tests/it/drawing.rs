//! Draws: distinct ranks in ascending order, all inside the slice, as many as requested, at any density.

use std::collections::BTreeSet;

use codemint_codes::draw::Draw;
use codemint_codes::keyspace::Rank;
use codemint_codes::random::{Key, RandomIntegers, Stream};
use codemint_codes::slice::Slice;
use proptest::prelude::{ProptestConfig, Strategy, any, prop_assert, prop_assert_eq, prop_oneof, proptest};

use codemint_test_support::chance::numbered_key;

const STREAM: Stream = Stream::chunk(0, 0);

fn draw(number: u64, slice: Slice, quota: usize) -> Draw {
    Draw::new(&numbered_key(number), STREAM, slice, quota)
}

fn is_ascending(ranks: &[Rank]) -> bool {
    ranks.is_sorted_by(|a, b| a < b)
}

#[test]
fn every_quota_of_every_small_slice_is_drawn_exactly() {
    for length in 0..=24 {
        for quota in 0..=length as usize + 2 {
            for number in 0..20 {
                let slice = Slice { start: 1000, length };
                let draw = draw(number, slice, quota);
                assert_eq!(draw.ranks().len(), quota.min(length as usize), "{quota} of {length}");
                assert!(is_ascending(draw.ranks()), "{quota} of {length}");
                assert!(draw.ranks().iter().all(|&rank| slice.contains(rank)), "{quota} of {length}");
                assert_eq!(draw.rejected(), 0);
            }
        }
    }
}

#[test]
fn a_draw_is_deterministic() {
    let slice = Slice { start: 7, length: 1 << 90 };
    assert_eq!(draw(1, slice, 100).ranks(), draw(1, slice, 100).ranks());
}

#[test]
fn every_key_round_and_chunk_has_its_own_draws() {
    let slice = Slice { start: 0, length: (1 << 100) - 1 };
    let mut seen = BTreeSet::new();
    for number in 0..4 {
        for stream in (0..5).flat_map(|round| (0..5).map(move |chunk_no| Stream::chunk(round, chunk_no))) {
            seen.extend(Draw::new(&numbered_key(number), stream, slice, 10).ranks());
        }
        seen.extend(
            (0..5).map(|round| RandomIntegers::new(&numbered_key(number), Stream::quotas(round)).below(1 << 90)),
        );
    }
    assert_eq!(seen.len(), 4 * (5 * 5 * 10 + 5), "no two streams give the same integer");
}

#[test]
fn every_round_and_chunk_has_its_own_stream() {
    let mut streams = Vec::new();
    for round in [0, 1, 2, u32::MAX] {
        streams.extend([0, 1, 2, u32::MAX - 1].map(|chunk_no| Stream::chunk(round, chunk_no)));
        streams.push(Stream::quotas(round));
    }
    for (at, stream) in streams.iter().enumerate() {
        assert!(!streams[..at].contains(stream), "{stream:?}");
    }
}

#[test]
fn candidates_are_replaced_until_the_slice_is_exhausted() {
    for (length, quota) in
        [(1, 1), (10, 1), (10, 3), (12, 6), (12, 12), (40, 7), (40, 19), (40, 20), (41, 30), (3000, 1), (3000, 4)]
    {
        let slice = Slice { start: 500, length };
        let mut draw = draw(length as u64, slice, quota);
        let mut tried = BTreeSet::new();
        while !draw.ranks().is_empty() {
            let candidates = draw.ranks().to_vec();
            assert_eq!(candidates.len(), quota.min(length as usize - tried.len()), "{quota} of {length}");
            assert!(is_ascending(&candidates));
            assert!(candidates.iter().all(|&rank| slice.contains(rank) && tried.insert(rank)), "{quota} of {length}");
            draw.replace(&candidates);
            assert_eq!(draw.rejected(), tried.len());
        }
        assert_eq!(tried.into_iter().collect::<Vec<_>>(), (500..500 + length).collect::<Vec<_>>());
        draw.replace(&[]);
        assert_eq!(draw.ranks(), [] as [Rank; 0], "an exhausted slice stays exhausted");
    }
}

#[test]
fn replacing_one_candidate_at_a_time_keeps_the_others() {
    let slice = Slice { start: 1 << 80, length: 30 };
    let mut draw = draw(3, slice, 10);
    for rejected in 1..=30 {
        let before = draw.ranks().to_vec();
        let taken = before[rejected * 7 % before.len()];
        draw.replace(&[taken]);
        assert_eq!(draw.ranks().len(), 10.min(30 - rejected));
        let kept: Vec<Rank> = before.into_iter().filter(|&rank| rank != taken).collect();
        assert!(kept.iter().all(|rank| draw.ranks().contains(rank)) && !draw.ranks().contains(&taken));
    }
}

/// If next to nothing is allowed, a chunk tries most of its candidates: each further one must not look at all that were
/// tried before.
#[test]
fn regression_hundreds_of_thousands_of_candidates_are_replaced_one_by_one() {
    let slice = Slice { start: 0, length: 1_000_000_000 };
    let mut draw = draw(5, slice, 1);
    let mut tried = BTreeSet::new();
    for _ in 0..300_000 {
        let candidate = draw.ranks()[0];
        assert!(tried.insert(candidate));
        draw.replace(&[candidate]);
    }
}

/// Slices of every length up to 2^100 - 1.
fn any_slice() -> impl Strategy<Value = Slice> {
    (any::<u128>(), 28_u32..128, any::<u128>()).prop_map(|(seed, shift, start)| {
        let length = (seed >> shift).max(1);
        Slice { start: start % ((1 << 100) - length), length }
    })
}

/// A slice and a quota: tiny, any, the whole slice, and on both sides of the point where drawing becomes selecting.
fn slice_and_quota() -> impl Strategy<Value = (Slice, usize)> {
    let short = (any::<u64>(), 1_u128..3000).prop_map(|(start, length)| Slice { start: start.into(), length });
    let part = (short, 0_u32..=100, 0_usize..=2)
        .prop_map(|(slice, percent, more)| (slice, (slice.length * u128::from(percent) / 100) as usize + more));
    let half = (any::<u64>(), 1_u128..1500, 0_u128..=2)
        .prop_map(|(start, half, more)| (Slice { start: start.into(), length: 2 * half - 1 + more }, half as usize));
    prop_oneof![(any_slice(), 0_usize..2000), part, half]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn prop_a_draw_is_ascending_inside_its_slice_and_complete(
        (slice, quota) in slice_and_quota(),
        key in any::<[u8; 32]>(),
        round in any::<u32>(),
        chunk_no in 0..u32::MAX,
    ) {
        let draw = Draw::new(&Key::new(key), Stream::chunk(round, chunk_no), slice, quota);
        prop_assert_eq!(draw.ranks().len() as u128, slice.length.min(quota as u128));
        prop_assert!(is_ascending(draw.ranks()));
        prop_assert!(draw.ranks().iter().all(|&rank| slice.contains(rank)));
    }

    #[test]
    fn prop_a_rejected_rank_is_never_drawn_again(
        (slice, quota) in slice_and_quota(),
        key in any::<[u8; 32]>(),
        patterns in proptest::collection::vec(any::<u64>(), 1..6),
    ) {
        let mut draw = Draw::new(&Key::new(key), STREAM, slice, quota);
        let mut rejected = BTreeSet::new();
        for pattern in patterns {
            let before = draw.ranks().to_vec();
            let is_taken = |at: usize| pattern >> (at % 64) & 1 == 1;
            let taken = before.iter().enumerate().filter(|(at, _)| is_taken(*at));
            let taken: Vec<Rank> = taken.map(|(_, &rank)| rank).collect();
            draw.replace(&taken);
            rejected.extend(taken);
            prop_assert_eq!(draw.rejected(), rejected.len());
            let untried = slice.length - rejected.len() as u128;
            prop_assert_eq!(draw.ranks().len() as u128, untried.min(quota as u128));
            prop_assert!(is_ascending(draw.ranks()));
            prop_assert!(draw.ranks().iter().all(|rank| slice.contains(*rank) && !rejected.contains(rank)));
            let is_kept = |rank: &Rank| draw.ranks().binary_search(rank).is_ok();
            prop_assert!(before.iter().all(|rank| is_kept(rank) != rejected.contains(rank)));
        }
    }

    #[test]
    fn prop_bounded_integers_are_below_their_bound(
        bound in any::<u128>(),
        shift in 0_u32..128,
        key in any::<[u8; 32]>(),
    ) {
        let bound = (bound >> shift).max(1);
        let mut random = RandomIntegers::new(&Key::new(key), STREAM);
        for _ in 0..20 {
            prop_assert!(random.below(bound) < bound);
        }
        let mut narrow = RandomIntegers::new(&Key::new(key), STREAM);
        let mut wide = narrow.clone();
        if let Ok(bound) = u64::try_from(bound) {
            prop_assert_eq!(u128::from(narrow.below_u64(bound)), wide.below(bound.into()), "the same in both widths");
        }
    }
}
