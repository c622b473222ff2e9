//! Laws that hold for every discount on every cart.

use std::time::Instant;

use codemint_offers::cart::{Cart, QUANTITY_MAX};
use codemint_offers::discount::grant::grant;
use codemint_offers::discount::left::Left;
use codemint_offers::discount::rule::{Discount, Effect, Target};
use codemint_offers::money::{AMOUNT_MAX, share};
use proptest::prelude::{Just, Strategy, prop_assert, prop_assert_eq, prop_oneof, proptest};

use crate::steps::{any_cart, any_discount, any_selector, cart, cases, granted_lines, line, total};

fn shuffled_carts() -> impl Strategy<Value = (Cart, Cart)> {
    any_cart(5).prop_flat_map(|cart| {
        let lines = cart.lines().to_vec();
        (Just(cart), Just(lines).prop_shuffle().prop_map(crate::steps::cart))
    })
}

proptest! {
    #![proptest_config(cases(2000))]

    #[test]
    fn prop_parts_add_up_and_no_line_falls_below_zero(discount in any_discount(), cart in any_cart(1000)) {
        if let Ok(granted) = grant(&discount, &cart, &Left::of(&cart)) {
            prop_assert_eq!(granted.lines.iter().sum::<i64>(), granted.amount);
            prop_assert!(granted.amount > 0);
            prop_assert!(discount.cap.is_none_or(|cap| granted.amount <= cap.amount));
            for (part, whole) in granted.lines.iter().zip(cart.line_amounts()) {
                prop_assert!((0..=*whole).contains(part), "{} of {}", part, whole);
            }
        }
    }

    #[test]
    fn prop_one_hundred_percent_leaves_nothing_of_its_target(selector in any_selector(), cart in any_cart(1000)) {
        for target in [Target::Items { selector: selector.clone() }, Target::Group { selector: selector.clone() }] {
            let everything = crate::steps::percent(10_000, target);
            for (index, part) in granted_lines(&everything, &cart).into_iter().enumerate() {
                let selected = selector.selects(&cart.lines()[index]);
                prop_assert_eq!(part, if selected { cart.line_amounts()[index] } else { 0 });
            }
        }
    }

    #[test]
    fn prop_the_total_does_not_depend_on_the_order_of_lines(discount in any_discount(), (cart, shuffled) in shuffled_carts()) {
        prop_assert_eq!(total(&discount, &cart), total(&discount, &shuffled));
    }

    #[test]
    fn prop_a_higher_percentage_never_gives_less(discount in any_discount(), cart in any_cart(20), points in 1..10_000_u32) {
        let with = |basis_points| Discount { effect: Effect::Percent { basis_points }, ..discount.clone() };
        prop_assert!(total(&with(points), &cart) <= total(&with(points + 1), &cart));
    }

    #[test]
    fn prop_several_discounts_in_a_row_never_take_more_than_the_cart(
        discounts in proptest::collection::vec(any_discount(), 1..5),
        cart in any_cart(20),
    ) {
        let mut left = Left::of(&cart);
        for discount in discounts {
            if let Ok(granted) = grant(&discount, &cart, &left) {
                for (part, left) in granted.lines.iter().zip(left.lines()) {
                    prop_assert!((0..=*left).contains(part));
                }
                left.take_off(&granted.lines);
            }
        }
        let rest: i64 = left.lines().iter().sum();
        let everything = crate::steps::percent(10_000, Target::Items { selector: crate::steps::all() });
        prop_assert_eq!(grant(&everything, &cart, &left).map_or(0, |granted| granted.amount), rest);
    }

    #[test]
    fn prop_a_unit_written_as_its_own_line_costs_the_same(discount in any_discount(), cart in any_cart(4)) {
        let units = cart.lines().iter().flat_map(|whole| (0..whole.quantity).map(|_| line(&whole.sku, 1, whole.unit_amount)));
        prop_assert_eq!(total(&discount, &cart), total(&discount, &crate::steps::cart(units.collect())));
    }

    #[test]
    fn prop_shares_equal_exact_fractions_rounded_half_away_from_zero(
        amount in prop_oneof![0..100_i64, 0..=AMOUNT_MAX],
        points in prop_oneof![(1..=20_u32).prop_map(|twentieths| twentieths * 500), 1..=10_000_u32],
    ) {
        // Twice the distance from the exact share is at most one unit, and a half is rounded up.
        let exact_times_ten_thousand = i128::from(amount) * i128::from(points);
        let distance = i128::from(share(amount, points)) * 10_000 - exact_times_ten_thousand;
        prop_assert!(-5000 < distance && distance <= 5000, "{}", distance);
    }
}

#[test]
fn the_largest_cart_is_discounted_without_overflow() {
    let lines = vec![line("A", QUANTITY_MAX, AMOUNT_MAX / QUANTITY_MAX as i64 / 2), line("B", 1, AMOUNT_MAX / 2)];
    let cart = cart(lines);
    assert_eq!(cart.amount(), AMOUNT_MAX);
    assert_eq!(total(&crate::steps::percent(3333, Target::Order), &cart), AMOUNT_MAX / 10_000 * 3333);
    assert_eq!(granted_lines(&crate::steps::percent(10_000, Target::Order), &cart), cart.line_amounts());
}

/// Not a bound on speed: work per unit would take minutes here.
#[test]
fn a_billion_units_need_no_work_per_unit() {
    let cart = cart(vec![line("A", QUANTITY_MAX, 7), line("B", QUANTITY_MAX, 3)]);
    let began = Instant::now();
    assert_eq!(total(&crate::steps::buy_get(2, 1, 10_000), &cart), 2_000_000_000 / 3 * 3);
    let items = Target::Items { selector: crate::steps::all() };
    assert_eq!(total(&crate::steps::percent(1000, items), &cart), 1_000_000_000);
    assert!(began.elapsed().as_secs() < 5, "{:?}", began.elapsed());
}
