//! Intersections of masks, and what is left of one without others: compared with the sets of their codes.

use std::collections::BTreeSet;

use codemint_codes::overlap::{covers, intersection, matches, parts_outside, size};
use codemint_codes::symbols::SymbolSet;
use proptest::collection::vec;
use proptest::prelude::{ProptestConfig, prop_assert, prop_assert_eq, proptest};

use codemint_test_support::small_masks::{codes_of, mask, small_mask};

#[test]
fn masks_of_different_lengths_share_nothing() {
    let (short, long) = (mask("##"), mask("###"));
    assert_eq!(intersection(short.positions(), long.positions()), None);
    assert!(!covers(long.positions(), short.positions()) && !covers(short.positions(), long.positions()));
    let left = parts_outside(long.positions(), &[short.positions()]).expect("parts");
    assert_eq!(left, [long.positions().to_vec()]);
}

#[test]
fn a_mask_without_another_that_covers_it_is_empty() {
    let (inner, outer) = (mask("1#?"), mask("***"));
    assert!(covers(outer.positions(), inner.positions()));
    assert_eq!(parts_outside(inner.positions(), &[outer.positions()]), Some(Vec::new()));
    assert_eq!(parts_outside(inner.positions(), &[inner.positions()]), Some(Vec::new()));
    assert_eq!(parts_outside(inner.positions(), &[]), Some(vec![inner.positions().to_vec()]));
}

#[test]
fn a_difference_with_too_many_parts_is_given_up() {
    let whole = mask("[01]{26}");
    // Each cuts at two positions of its own, so the number of parts doubles.
    let cutters: Vec<_> =
        (0..13).map(|at| mask(&format!("{}11{}", "#".repeat(2 * at), "#".repeat(24 - 2 * at)))).collect();
    let cut: Vec<&[SymbolSet]> = cutters.iter().map(|mask| mask.positions()).collect();
    let parts = parts_outside(whole.positions(), &cut[..12]).expect("parts");
    assert_eq!((parts.len(), parts.iter().map(|part| size(part)).sum::<u128>()), (4096, 4 * 3_u128.pow(12)));
    assert!(parts_outside(whole.positions(), &cut).is_none());
}

#[test]
fn sets_larger_than_any_mask_still_have_a_size() {
    let wide = vec![SymbolSet::of(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"); 64];
    assert_eq!(size(&wide), u128::MAX);
    assert_eq!(size(&[]), 1);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn prop_the_intersection_of_masks_is_that_of_their_codes(a in small_mask(4), b in small_mask(4)) {
        let (codes_a, codes_b) = (codes_of(a.positions()), codes_of(b.positions()));
        let shared: BTreeSet<String> = codes_a.intersection(&codes_b).cloned().collect();
        let found = intersection(a.positions(), b.positions());
        prop_assert_eq!(found.as_deref().map(codes_of).unwrap_or_default(), shared.clone());
        prop_assert_eq!(found.is_some(), a.meets(&b));
        prop_assert_eq!(found.map(|sets| size(&sets)).unwrap_or_default(), shared.len() as u128);
        prop_assert_eq!(covers(a.positions(), b.positions()), codes_b.is_subset(&codes_a));
        for code in codes_b {
            prop_assert_eq!(matches(a.positions(), code.as_bytes()), codes_a.contains(&code));
        }
    }

    #[test]
    fn prop_the_parts_outside_are_the_difference_in_disjoint_parts(
        whole in small_mask(4), cutters in vec(small_mask(4), 0..5)
    ) {
        let cut: Vec<&[SymbolSet]> = cutters.iter().map(|mask| mask.positions()).collect();
        let parts = parts_outside(whole.positions(), &cut).expect("few parts");
        let mut left = codes_of(whole.positions());
        cutters.iter().for_each(|cutter| left = left.difference(&codes_of(cutter.positions())).cloned().collect());
        let found: Vec<String> = parts.iter().flat_map(|part| codes_of(part)).collect();
        prop_assert_eq!(found.len(), left.len(), "the parts are disjoint");
        prop_assert_eq!(parts.iter().map(|part| size(part)).sum::<u128>(), left.len() as u128);
        prop_assert_eq!(found.into_iter().collect::<BTreeSet<_>>(), left);
        prop_assert!(parts.iter().all(|part| part.iter().all(|set| !set.is_empty())));
    }
}
