//! Laws of splitting an amount over lines.

use codemint_offers::discount::allocate::allocate;
use proptest::prelude::{Strategy, prop_assert, prop_assert_eq, prop_oneof, proptest};

use crate::steps::cases;

fn weights() -> impl Strategy<Value = Vec<i64>> {
    let weight = prop_oneof![0..4_i64, 0..1000_i64, 0..100_000_000_000_000_i64];
    proptest::collection::vec(weight, 1..10)
}

/// Weights, and a total of at most their sum.
fn totals() -> impl Strategy<Value = (i64, Vec<i64>)> {
    (weights(), 0..=1000_i64).prop_map(|(weights, thousandths)| {
        let sum = i128::from(weights.iter().sum::<i64>());
        ((sum * i128::from(thousandths) / 1000) as i64, weights)
    })
}

proptest! {
    #![proptest_config(cases(5000))]

    #[test]
    fn prop_parts_add_up_and_exceed_no_weight((total, weights) in totals()) {
        let parts = allocate(total, &weights);
        prop_assert_eq!(parts.iter().sum::<i64>(), total);
        for (part, weight) in parts.iter().zip(&weights) {
            prop_assert!((0..=*weight).contains(part), "{} of {}", part, weight);
        }
    }

    #[test]
    fn prop_each_part_is_the_exact_fraction_rounded_down_or_up((total, weights) in totals()) {
        let sum = i128::from(weights.iter().sum::<i64>());
        for (part, weight) in allocate(total, &weights).iter().zip(&weights) {
            // part - 1 < total * weight / sum < part + 1, without a division.
            let exact = i128::from(total) * i128::from(*weight);
            let part = i128::from(*part);
            prop_assert!(sum == 0 || (part - 1) * sum < exact && exact < (part + 1) * sum);
        }
    }

    #[test]
    fn prop_a_larger_remainder_is_rounded_up_first_and_ties_go_to_the_earlier_line((total, weights) in totals()) {
        let sum = i128::from(weights.iter().sum::<i64>());
        let parts = allocate(total, &weights);
        let rounded: Vec<(i128, bool)> = weights.iter().zip(&parts).map(|(weight, part)| {
            let exact = i128::from(total) * i128::from(*weight);
            (exact % sum.max(1), i128::from(*part) * sum > exact)
        }).collect();
        for (earlier, (remainder, is_up)) in rounded.iter().enumerate() {
            for (other, other_is_up) in &rounded[earlier + 1..] {
                prop_assert!(!other_is_up || *is_up || remainder < other, "{:?}", rounded);
                prop_assert!(!is_up || *other_is_up || remainder >= other, "{:?}", rounded);
            }
        }
    }
}

#[test]
fn a_line_without_weight_gets_nothing() {
    assert_eq!(allocate(5, &[0, 7, 0, 7]), [0, 3, 0, 2]);
    assert_eq!(allocate(0, &[0, 0]), [0, 0]);
}
