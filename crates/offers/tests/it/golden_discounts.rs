//! Frozen amounts: a change here changes what customers pay.

use codemint_offers::cart::{Cart, Line};
use codemint_offers::discount::grant::{NotGranted, grant};
use codemint_offers::discount::left::Left;
use codemint_offers::discount::rule::{Discount, Selector, Target};
use codemint_offers::money::Money;

use crate::steps::{all, amount, buy_get, cart, currency, eur, granted_lines, line, percent, skus, total};

fn items(selector: Selector) -> Target {
    Target::Items { selector }
}

#[test]
fn a_quarter_off_19_99_leaves_14_99() {
    let cart = cart(vec![line("A", 1, 1999)]);
    assert_eq!(cart.amount() - total(&percent(2500, Target::Order), &cart), 1499);
}

#[test]
fn ten_percent_off_25_units_of_399_00_leaves_8977_50() {
    let cart = cart(vec![line("A", 25, 39_900)]);
    assert_eq!(cart.amount() - total(&percent(1000, Target::Order), &cart), 897_750);
    assert_eq!(cart.amount() - total(&percent(1000, items(all())), &cart), 897_750);
}

#[test]
fn buy_two_get_one_with_six_units_gives_two_free() {
    let cart = cart(vec![line("A", 6, 500)]);
    assert_eq!(total(&buy_get(2, 1, 10_000), &cart), 1000);
}

#[test]
fn buy_one_get_one_gives_every_second_unit() {
    let of = |quantity| total(&buy_get(1, 1, 10_000), &cart(vec![line("A", quantity, 500)]));
    assert_eq!([1, 2, 3, 4, 5].map(of), [0, 500, 500, 1000, 1000]);
}

#[test]
fn buy_one_get_one_at_half_takes_half_of_the_cheaper_unit() {
    let cart = cart(vec![line("A", 1, 2000), line("B", 1, 999)]);
    assert_eq!(granted_lines(&buy_get(1, 1, 5000), &cart), [0, 500]);
}

#[test]
fn buy_dogs_get_cats_takes_only_whole_multiples() {
    let target = Target::BuyGet { buy: skus(&["DOG"]), buy_quantity: 2, get: skus(&["CAT"]), get_quantity: 2 };
    let of = |dogs, cats| {
        total(&percent(10_000, target.clone()), &cart(vec![line("DOG", dogs, 900), line("CAT", cats, 100)]))
    };
    assert_eq!([of(1, 9), of(2, 1), of(2, 2), of(3, 9), of(4, 3), of(4, 4)], [0, 0, 200, 200, 200, 400]);
}

#[test]
fn currencies_with_0_2_and_3_decimals_round_at_their_own_minor_unit() {
    let tenth_of = |code: &str, price| {
        let cart = Cart::new(currency(code), vec![line("A", 1, price)]).expect("a cart");
        let amount = total(&percent(1000, Target::Order), &cart);
        Money { currency: cart.currency(), amount }.to_string()
    };
    assert_eq!(tenth_of("JPY", 1999), "200 JPY");
    assert_eq!(tenth_of("EUR", 1999), "2.00 EUR");
    assert_eq!(tenth_of("KWD", 1999), "0.200 KWD");
}

/// The currencies of ISO 4217 whose minor unit is not a hundredth.
#[test]
fn currencies_have_the_decimals_of_the_standard() {
    let none = "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF";
    let (two, three, four) = ("EUR USD GBP CHF HUF CNY MGA MRU", "BHD IQD JOD KWD LYD OMR TND", "CLF UYW");
    for (decimals, codes) in [(0, none), (2, two), (3, three), (4, four)] {
        for code in codes.split(' ') {
            assert_eq!(currency(code).exponent(), decimals, "{code}");
        }
    }
}

#[test]
fn one_hundred_percent_leaves_nothing() {
    let cart = cart(vec![line("A", 3, 333), line("B", 7, 1)]);
    assert_eq!(granted_lines(&percent(10_000, Target::Order), &cart), [999, 7]);
}

#[test]
fn an_amount_off_the_order_is_split_over_its_lines() {
    let cart = cart(vec![line("A", 1, 1000), line("B", 1, 2000)]);
    assert_eq!(granted_lines(&amount(500, Target::Order), &cart), [167, 333]);
}

#[test]
fn an_amount_off_items_counts_for_each_unit() {
    let cart = cart(vec![line("A", 3, 1000), line("B", 1, 200)]);
    assert_eq!(granted_lines(&amount(500, items(all())), &cart), [1500, 200]);
}

#[test]
fn an_amount_off_a_group_counts_once() {
    let cart = cart(vec![line("A", 3, 1000), line("B", 1, 2000), line("C", 1, 9000)]);
    let group = Target::Group { selector: skus(&["A", "B"]) };
    assert_eq!(granted_lines(&amount(500, group), &cart), [300, 200, 0]);
}

#[test]
fn a_limit_discounts_the_cheapest_units() {
    let cart = cart(vec![line("A", 2, 1000), line("B", 2, 400)]);
    let limited = Discount { limit_per_order: 3, ..percent(5000, items(all())) };
    assert_eq!(granted_lines(&limited, &cart), [500, 400]);
}

#[test]
fn a_cap_bounds_the_whole_discount_and_is_split_like_it() {
    let cart = cart(vec![line("A", 1, 1000), line("B", 1, 3000)]);
    let capped = Discount { cap: Some(eur(100)), ..percent(5000, Target::Order) };
    assert_eq!(granted_lines(&capped, &cart), [25, 75]);
}

#[test]
fn exceptions_outweigh_groups_and_all() {
    let cart = cart(vec![line("A", 1, 1000), line("B", 1, 1000)]);
    let except = |selector: Selector| Selector { except_skus: ["A".to_owned()].into(), ..selector };
    assert_eq!(granted_lines(&percent(1000, items(except(all()))), &cart), [0, 100]);
    let groups = Selector { groups: ["A".to_owned(), "B".to_owned()].into(), ..Selector::default() };
    assert_eq!(granted_lines(&percent(1000, items(except(groups))), &cart), [0, 100]);
}

#[test]
fn an_amount_or_a_cap_in_another_currency_takes_nothing_off() {
    let yen = Cart::new(currency("JPY"), vec![line("A", 1, 1999)]).expect("a cart");
    let wrong = Err(NotGranted::OtherCurrency { offer: currency("EUR"), cart: currency("JPY") });
    assert_eq!(grant(&amount(500, Target::Order), &yen, &Left::of(&yen)), wrong);
    let capped = Discount { cap: Some(eur(100)), ..percent(5000, Target::Order) };
    assert_eq!(grant(&capped, &yen, &Left::of(&yen)), wrong);
}

#[test]
fn a_discount_of_zero_is_no_discount() {
    let cheap = cart(vec![line("A", 1, 1)]);
    assert_eq!(grant(&percent(1000, Target::Order), &cheap, &Left::of(&cheap)), Err(NotGranted::Nothing));
    assert_eq!(grant(&percent(1000, items(skus(&["B"]))), &cheap, &Left::of(&cheap)), Err(NotGranted::Nothing));
}

#[test]
fn a_second_discount_applies_to_what_the_first_has_left() {
    let cart = cart(vec![line("A", 1, 1000), line("B", 2, 500)]);
    let mut left = Left::of(&cart);
    for (discount, expected) in [
        (percent(5000, Target::Order), [500, 500]),
        (amount(600, Target::Order), [300, 300]),
        (percent(10_000, items(skus(&["B"]))), [0, 200]),
    ] {
        let granted = grant(&discount, &cart, &left).expect("a discount");
        assert_eq!(granted.lines, expected);
        left.take_off(&granted.lines);
    }
    assert_eq!(left.lines(), [200, 0]);
}

#[test]
fn units_that_earlier_discounts_left_uneven_are_counted_exactly() {
    let cart = cart(vec![line("A", 3, 500)]);
    let mut left = Left::of(&cart);
    left.take_off(&[500]);
    // 1000 is left of 3 units: 333, 333 and 334.
    let one = Discount { limit_per_order: 1, ..percent(10_000, items(all())) };
    let two = Discount { limit_per_order: 2, ..one.clone() };
    let taken = |discount| grant(discount, &cart, &left).expect("a discount").amount;
    assert_eq!([taken(&one), taken(&two), taken(&Discount { limit_per_order: 3, ..one.clone() })], [333, 666, 1000]);
}

#[test]
fn a_stored_discount_is_found_again_by_sku_after_lines_have_moved() {
    let cart = cart(vec![line("B", 1, 500), line("A", 1, 300), line("A", 1, 300)]);
    let mut left = Left::of(&cart);
    left.take_off_sku(&cart, "A", 400);
    left.take_off_sku(&cart, "GONE", 900);
    assert_eq!(left.lines(), [500, 0, 200]);
    left.take_off_sku(&cart, "A", 400);
    assert_eq!(left.lines(), [500, 0, 0]);
}

/// The cart and the amounts of docs/discounts.md.
#[test]
fn the_examples_of_the_documentation_hold() {
    let item =
        |sku, group: &str, quantity, price| Line { groups: vec![group.to_owned()], ..line(sku, quantity, price) };
    let toys = || [item("BALL", "dog toys", 3, 1000), item("ROPE", "dog toys", 1, 2500)];
    let cart = cart([toys().as_slice(), &[item("SNACK", "treats", 5, 400)]].concat());
    let group = |name: &str| Selector { groups: [name.to_owned()].into(), ..Selector::default() };
    let limited = |limit_per_order, discount| Discount { limit_per_order, ..discount };
    let offer = |buy_quantity, get: &str, get_quantity| {
        percent(10_000, Target::BuyGet { buy: group("dog toys"), buy_quantity, get: group(get), get_quantity })
    };
    let of_toys = || Target::Group { selector: group("dog toys") };
    for (discount, expected) in [
        (percent(1000, Target::Order), 750),
        (percent(1000, of_toys()), 550),
        (percent(1000, items(group("treats"))), 200),
        (amount(600, Target::Order), 600),
        (amount(600, of_toys()), 600),
        (amount(600, items(group("treats"))), 2000),
        (limited(4, percent(5000, items(all()))), 800),
        (offer(2, "treats", 1), 800),
        (limited(1, offer(2, "treats", 1)), 400),
        (offer(2, "dog toys", 1), 1000),
        (amount(10_000, Target::Order), 7500),
        (Discount { cap: Some(eur(2000)), ..percent(5000, Target::Order) }, 2000),
    ] {
        assert_eq!(total(&discount, &cart), expected, "{discount:?}");
    }
    let both = |first: &Discount, second: &Discount| {
        let mut left = Left::of(&cart);
        for discount in [first, second] {
            left.take_off(&grant(discount, &cart, &left).expect("a discount").lines);
        }
        left.lines().iter().sum::<i64>()
    };
    let (half, six) = (percent(5000, Target::Order), amount(600, Target::Order));
    assert_eq!([both(&half, &six), both(&six, &half)], [3150, 3450]);
}
