//! Slices and quotas: every rank is in one slice, and the quotas of all slices add up to the requested count.

use codemint_codes::keyspace::Rank;
use codemint_codes::random::{Key, RandomIntegers, Stream};
use codemint_codes::slice::{Slice, quotas};
use proptest::prelude::{ProptestConfig, Strategy, any, prop_assert, prop_assert_eq, proptest};

use codemint_test_support::chance::numbered_key;

const SIZE_LIMIT: u128 = 1 << 100;

fn slices_of(size: u128, slices: u32) -> Vec<Slice> {
    (0..slices).map(|index| Slice::of_keyspace(size, slices, index)).collect()
}

#[test]
fn the_slices_of_a_small_keyspace_hold_every_rank_once() {
    for size in 1..=40 {
        for slices in 1..=size as u32 {
            let parts = slices_of(size, slices);
            let ranks: Vec<Rank> = parts.iter().flat_map(|slice| slice.start..slice.start + slice.length).collect();
            assert_eq!(ranks, (0..size).collect::<Vec<Rank>>(), "{size} in {slices}");
            let lengths = parts.iter().map(|slice| slice.length);
            assert!(lengths.clone().is_sorted_by(|a, b| a >= b), "{size} in {slices}: the longer ones come first");
            assert!(lengths.clone().max().zip(lengths.min()).is_some_and(|(max, min)| max - min <= 1));
        }
    }
}

#[test]
fn a_slice_contains_the_ranks_from_its_start_to_before_its_end() {
    let slice = Slice { start: 100, length: 50 };
    for (rank, contained) in [(0, false), (99, false), (100, true), (149, true), (150, false), (Rank::MAX, false)] {
        assert_eq!(slice.contains(rank), contained, "{rank}");
    }
    assert!(!Slice { start: 100, length: 0 }.contains(100));
}

/// Returns, for every starting point below `size`, a key that draws it.
fn keys_of_all_starts(size: u128) -> Vec<Key> {
    let mut keys = vec![None; size as usize];
    for number in 0.. {
        let key = numbered_key(number);
        let start = RandomIntegers::new(&key, Stream::quotas(0)).below(size) as usize;
        keys[start].get_or_insert(key);
        if keys.iter().all(Option::is_some) {
            break;
        }
    }
    keys.into_iter().flatten().collect()
}

/// Returns the quotas of a starting point: the whole numbers passed from one end of each slice to the other.
fn quotas_on_paper(start: u128, size: u128, count: u64, slices: u32) -> Vec<u64> {
    let passed = |ranks: u128| ((start + ranks * u128::from(count)) / size) as u64;
    slices_of(size, slices).iter().map(|slice| passed(slice.start + slice.length) - passed(slice.start)).collect()
}

/// All starting points are equally likely: if a slice's quotas of all of them add up to `length * count`, every rank is
/// drawn with a probability of exactly `count / size`.
#[test]
fn over_all_starting_points_every_rank_has_exactly_the_same_probability() {
    for size in 1..=14_u128 {
        let keys = keys_of_all_starts(size);
        for (slices, count) in (1..=size as u32).flat_map(|slices| (slices..=size as u32).map(move |n| (slices, n))) {
            let mut sums = vec![0; slices as usize];
            for (start, key) in keys.iter().enumerate() {
                let given: Vec<(Slice, u64)> = quotas(key, 0, size, u64::from(count), slices).collect();
                let what = format!("{count} of {size} in {slices} from {start}");
                assert_eq!(
                    given.iter().map(|(slice, _)| *slice).collect::<Vec<_>>(),
                    slices_of(size, slices),
                    "{what}"
                );
                let given_quotas: Vec<u64> = given.iter().map(|&(_, quota)| quota).collect();
                assert_eq!(given_quotas, quotas_on_paper(start as u128, size, u64::from(count), slices), "{what}");
                assert_eq!(given_quotas.iter().sum::<u64>(), u64::from(count), "{what}");
                assert!(given.iter().all(|&(slice, quota)| u128::from(quota) <= slice.length), "{what}");
                sums.iter_mut().zip(given_quotas).for_each(|(sum, quota)| *sum += u128::from(quota));
            }
            let expected =
                slices_of(size, slices).iter().map(|slice| slice.length * u128::from(count)).collect::<Vec<_>>();
            assert_eq!(sums, expected, "{count} of {size} in {slices}");
        }
    }
}

#[test]
fn a_full_keyspace_gives_every_slice_its_length() {
    for (size, slices) in [(1, 1), (1000, 7), (1_000_000, 999), (1_000_000_000, 1000)] {
        for number in 0..20 {
            let key = numbered_key(number);
            let mut given = quotas(&key, 3, size, size as u64, slices);
            assert!(given.all(|(slice, quota)| u128::from(quota) == slice.length), "{size} in {slices}");
        }
    }
}

#[test]
fn every_round_has_a_starting_point_of_its_own() {
    let key = numbered_key(1);
    let starts =
        [0, 1, 2, u32::MAX].map(|round| RandomIntegers::new(&key, Stream::quotas(round)).below(SIZE_LIMIT - 1));
    assert!((1..starts.len()).all(|at| !starts[..at].contains(&starts[at])));
    let firsts = (0..400).filter(|&round| quotas(&key, round, 1000, 3, 2).next().is_some_and(|(_, quota)| quota == 2));
    assert!((150..250).contains(&firsts.count()), "the odd code goes to either slice");
}

/// A size of any magnitude below 2^100.
fn any_size() -> impl Strategy<Value = u128> {
    (any::<u128>(), 28_u32..128).prop_map(|(seed, shift)| (seed >> shift).max(1))
}

/// A size, a count up to a billion, and a number of slices within the limits on jobs.
fn size_count_slices() -> impl Strategy<Value = (u128, u64, u32)> {
    (any_size(), any::<u64>(), 0_u32..64, any::<u32>(), 0_u32..15).prop_map(|(size, count, narrow, slices, few)| {
        let count_max = size.min(1_000_000_000) as u64;
        let count = 1 + (count >> narrow) % count_max;
        let slices_min = count.div_ceil(1 << 20);
        let slices_max = count.min(20_000);
        let slices = slices_min + ((u64::from(slices) % (slices_max - slices_min + 1)) >> few);
        (size, count, slices as u32)
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn prop_slices_partition_the_keyspace(size in any_size(), slices in any::<u32>(), few in 12_u32..32) {
        let slices = (u128::from(slices >> few) + 1).min(size) as u32;
        let mut next = 0;
        for index in 0..slices {
            let slice = Slice::of_keyspace(size, slices, index);
            prop_assert_eq!(slice.start, next);
            prop_assert!((size / u128::from(slices)..=size.div_ceil(u128::from(slices))).contains(&slice.length));
            next += slice.length;
        }
        prop_assert_eq!(next, size);
        let largest = Slice::of_keyspace(SIZE_LIMIT - 1, slices, slices - 1);
        prop_assert_eq!(largest.start + largest.length, SIZE_LIMIT - 1);
    }

    #[test]
    fn prop_quotas_add_up_to_the_count_and_fit_their_slices(
        (size, count, slices) in size_count_slices(),
        key in any::<[u8; 32]>(),
        round in any::<u32>(),
    ) {
        let key = Key::new(key);
        let given: Vec<(Slice, u64)> = quotas(&key, round, size, count, slices).collect();
        prop_assert_eq!(given.len(), slices as usize);
        prop_assert_eq!(given.iter().map(|&(_, quota)| quota).sum::<u64>(), count);
        for (slice, quota) in given {
            prop_assert!(u128::from(quota) <= slice.length);
            let fair = slice.length * u128::from(count) / size;
            prop_assert!(u128::from(quota) == fair || u128::from(quota) == fair + 1, "{} for {}", quota, fair);
        }
    }
}
