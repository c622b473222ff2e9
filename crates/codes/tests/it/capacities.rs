//! The capacity of a mask: what follows from the masks in use is never wrong, whatever codes they hold.

use std::collections::BTreeSet;
use std::sync::Arc;

use codemint_codes::capacity::{Capacity, Count, Mintable, Taken};
use codemint_codes::denied::{DeniedInMask, DeniedWords};
use codemint_codes::mask::Mask;
use codemint_codes::rules::{Forbidden, Rules};
use proptest::collection::vec;
use proptest::prelude::{ProptestConfig, any, prop_assert, prop_assert_eq, proptest};

use codemint_test_support::small_masks::{codes_of, mask, small_mask};

fn denied(mask: &Mask, words: &[&str]) -> DeniedInMask {
    DeniedInMask::new(&Arc::new(DeniedWords::new(words.iter().copied()).expect("words")), mask)
}

/// Returns the codes that may be minted, checked one by one.
fn mintable_codes(mask: &Mask, reserved: &[Mask], denied: Option<&DeniedInMask>) -> BTreeSet<String> {
    let mut codes = codes_of(mask.positions());
    let reserved: Vec<_> = reserved.iter().map(|other| codes_of(other.positions())).collect();
    codes.retain(|code| {
        let is_reserved = reserved.iter().any(|codes| codes.contains(code));
        !is_reserved && !denied.is_some_and(|denied| denied.is_denied(code.as_bytes()))
    });
    codes
}

#[test]
fn the_codes_that_one_mask_takes_of_another_are_bounded_on_both_sides() {
    let (whole, part) = (mask("####"), mask("[0-4]###"));
    let all = Mintable::new(&whole, &[], None);
    let half = Mintable::new(&part, &[], None);
    for (mintable, other, codes, at_least, at_most) in [
        (&all, "####", 0, 0, 0),
        (&all, "####", 700, 700, 700),
        (&all, "1###", 700, 700, 700),
        (&half, "####", 700, 0, 700),
        (&half, "####", 5_001, 1, 5_000),
        (&half, "####", 10_000, 5_000, 5_000),
        (&half, "[3-6]###", 2_500, 500, 2_000),
        (&half, "[5-9]###", 5_000, 0, 0),
        (&all, "*###", 36_000, 10_000, 10_000),
        (&all, "*###", 26_000, 0, 10_000),
        (&all, "##[:check:]{2}", 50, 0, 50),
    ] {
        assert_eq!(mintable.taken_by(&mask(other), codes), Taken { at_least, at_most }, "{codes} of {other}");
    }
}

#[test]
fn capacity_is_known_where_it_is_certain_and_unsure_elsewhere() {
    let mask = mask("####");
    let mintable = Mintable::new(&mask, &[], None);
    let taken = |at_least, at_most| Taken { at_least, at_most };
    for (count, taken, capacity) in [
        (10_000, taken(0, 0), Capacity::Enough),
        (9_300, taken(700, 700), Capacity::Enough),
        (9_301, taken(700, 700), Capacity::TooFew { free: 9_300, mintable: 10_000, exact: true }),
        (9_000, taken(500, 1_000), Capacity::Enough),
        (9_001, taken(500, 1_000), Capacity::Unsure),
        (9_501, taken(500, 1_000), Capacity::Unsure),
        (1, taken(10_000, 20_000), Capacity::TooFew { free: 0, mintable: 10_000, exact: true }),
        (1, taken(12_000, 20_000), Capacity::TooFew { free: 0, mintable: 10_000, exact: true }),
        (1, taken(9_999, 10_000), Capacity::Unsure),
    ] {
        assert_eq!(mintable.capacity_for(count, taken), capacity, "{count} with {taken:?}");
    }
}

#[test]
fn codes_that_are_both_reserved_and_denied_are_subtracted_once() {
    let mask = mask("[ABCX]{3}");
    let words = denied(&mask, &["abc", "xx"]);
    // AXX is both reserved and denied, ABC is reserved twice.
    let reserved = ["A**", "AB*", "1**", "[BC]A", "X[AB]X"].map(codemint_test_support::small_masks::mask);
    let mintable = Mintable::new(&mask, &reserved, Some(&words));
    assert!(mintable.exact);
    assert_eq!(mintable.codes, mintable_codes(&mask, &reserved, Some(&words)).len() as u128);
    assert_eq!(mintable.codes, 64 - 16 - 2 - (2 + 4));
}

#[test]
fn a_fully_reserved_mask_has_no_capacity() {
    let mask = mask("1##");
    let mintable = Mintable::new(&mask, &[codemint_test_support::small_masks::mask("***")], None);
    assert_eq!((mintable.codes, mintable.exact), (0, true));
    assert_eq!(mintable.capacity_for(1, Taken::default()), Capacity::TooFew { free: 0, mintable: 0, exact: true });
}

#[test]
fn reserved_masks_that_split_check_characters_leave_an_estimate() {
    let mask = mask("##[:check:]");
    let all = codemint_test_support::small_masks::mask;
    for (reserved, codes, exact) in [
        (vec![], 100, true),
        (vec![all("1#[:check:]")], 90, true),
        (vec![all("1#[0-9A-M]")], 100, false),
        (vec![all("1#*")], 90, true),
        (vec![all("1#[B-Z3479]")], 90, true),
        (vec![all("1#B"), all("2#[:safe:]")], 90, false),
        (vec![all("1#A")], 100, true),
    ] {
        let mintable = Mintable::new(&mask, &reserved, None);
        assert_eq!((mintable.codes, mintable.exact), (codes, exact), "{reserved:?}");
    }
}

/// Returns codes of a mask, picked by these numbers.
fn picked(mask: &Mask, picks: &[usize]) -> BTreeSet<String> {
    let codes: Vec<String> = codes_of(mask.positions()).into_iter().collect();
    picks.iter().map(|pick| codes[pick % codes.len()].clone()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn prop_mintable_codes_are_those_that_no_rule_forbids(
        mask in small_mask(4), reserved in vec(small_mask(4), 0..4), with_words in any::<bool>()
    ) {
        let words = with_words.then(|| Arc::new(denied(&mask, &["aa", "la", "b1"])));
        let codes = mintable_codes(&mask, &reserved, words.as_deref());
        let mintable = Mintable::new(&mask, &reserved, words.as_deref());
        prop_assert_eq!((mintable.codes, mintable.exact), (codes.len() as u128, true));
        let rules = Rules::new(&mask, &reserved, words);
        let reserved: Vec<_> = reserved.iter().map(|other| codes_of(other.positions())).collect();
        for code in codes_of(mask.positions()) {
            let is_reserved = reserved.iter().any(|codes| codes.contains(&code));
            let forbidden = rules.forbids(&code);
            prop_assert_eq!(forbidden.is_none(), codes.contains(&code));
            prop_assert_eq!(forbidden == Some(Forbidden::Reserved), is_reserved);
        }
    }

    #[test]
    fn prop_the_number_of_taken_codes_is_always_within_the_bounds(
        mask in small_mask(4), reserved in vec(small_mask(4), 0..3),
        others in vec((small_mask(4), vec(any::<usize>(), 0..150)), 1..4), with_words in any::<bool>(), count in 1_u64..200
    ) {
        let words = with_words.then(|| denied(&mask, &["aa", "la", "b1"]));
        let mintable = Mintable::new(&mask, &reserved, words.as_ref());
        let ours = mintable_codes(&mask, &reserved, words.as_ref());
        let (mut all, mut placed) = (Vec::new(), BTreeSet::new());
        for (other, picks) in others.iter().filter(|(other, _)| other.meets(&mask)) {
            // A code exists only once: this mask does not hold what an earlier one holds already.
            let codes: BTreeSet<String> = picked(other, picks).difference(&placed).cloned().collect();
            let taken = mintable.taken_by(other, codes.len() as u64);
            let true_taken = codes.intersection(&ours).count() as u128;
            prop_assert!(taken.at_least <= true_taken && true_taken <= taken.at_most, "{:?} {} {:?}", taken, true_taken, other);
            placed.extend(codes);
            all.push(taken);
        }
        let free = ours.difference(&placed).count() as u64;
        match mintable.capacity_for(count, all.into_iter().sum()) {
            Capacity::Enough => prop_assert!(free >= count),
            Capacity::TooFew { free: told, exact, .. } => {
                prop_assert!(free < count);
                prop_assert_eq!((told, exact), (u128::from(free), true));
            }
            Capacity::Depends { .. } => prop_assert!(false, "nothing was counted"),
            Capacity::Unsure => {}
        }
    }

    #[test]
    fn prop_a_count_is_right_whatever_unfinished_jobs_take(
        mask in small_mask(4), reserved in vec(small_mask(4), 0..3),
        others in vec((small_mask(4), vec(any::<usize>(), 0..150), 0..150_usize), 1..4), with_words in any::<bool>(),
        count in 1_u64..200
    ) {
        let words = with_words.then(|| denied(&mask, &["aa", "la", "b1"]));
        let mintable = Mintable::new(&mask, &reserved, words.as_ref());
        let ours = mintable_codes(&mask, &reserved, words.as_ref());
        let (mut counted, mut taken) = (Count { exact: true, ..Count::default() }, BTreeSet::new());
        for (other, picks, present) in others.iter().filter(|(other, ..)| other.meets(&mask)) {
            let codes: Vec<String> = picked(other, picks).difference(&taken).cloned().collect();
            let (present, owed) = codes.split_at((*present).min(codes.len()));
            counted.present += present.iter().filter(|code| ours.contains(*code)).count() as u128;
            counted.owed = [counted.owed, mintable.taken_by(other, owed.len() as u64)].into_iter().sum();
            taken.extend(codes);
        }
        let free = ours.difference(&taken).count() as u128;
        match mintable.capacity_after(&counted, count) {
            Capacity::Enough => prop_assert!(free >= u128::from(count)),
            Capacity::TooFew { free: told, .. } => prop_assert!(free <= told && told < u128::from(count)),
            Capacity::Depends { certain, possible } => prop_assert!(certain <= free && free <= possible),
            Capacity::Unsure => prop_assert!(false, "everything was counted"),
        }
    }
}

#[test]
fn regression_reserved_codes_too_many_to_subtract_still_do_not_count_as_capacity() {
    let reserved: Vec<_> = (0..3_000)
        .map(|n| codemint_test_support::small_masks::mask(&format!("{:06}", n * 611_953 % 1_000_000)))
        .collect();
    let whole = mask("######");
    let mintable = Mintable::new(&whole, &reserved, None);
    assert!(!mintable.exact);
    assert_eq!(mintable.capacity_for(997_000, Taken::default()), Capacity::Enough);
    assert_eq!(mintable.capacity_for(997_001, Taken::default()), Capacity::Unsure);
}
