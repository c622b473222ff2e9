//! "Buy X, get Y" against all ways to choose units.

use std::time::Instant;

use codemint_offers::cart::Cart;
use codemint_offers::discount::rule::{Discount, Selector, Target};

use proptest::prelude::{Strategy, any};
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use crate::steps::{any_selector, cart, line, percent, total};

/// Bounds the number of ways to 3^7.
const UNITS_MAX: u64 = 7;
const CARTS: usize = 12_000;

/// What one way to choose units gives: as many multiples as possible count more than anything, then the smallest sum.
struct Oracle {
    units: Vec<(i64, bool, bool)>,
    buy_quantity: usize,
    get_quantity: usize,
    limit: usize,
    best: Option<(usize, i64)>,
}

impl Oracle {
    /// Tries for each further unit to leave it, to buy it and to get it.
    fn choose(&mut self, index: usize, bought: usize, got: usize, sum: i64) {
        let Some((price, buys, gets)) = self.units.get(index).copied() else {
            return self.count(bought, got, sum);
        };
        self.choose(index + 1, bought, got, sum);
        if buys {
            self.choose(index + 1, bought + 1, got, sum);
        }
        if gets {
            self.choose(index + 1, bought, got + 1, sum + price);
        }
    }

    fn count(&mut self, bought: usize, got: usize, sum: i64) {
        let multiples = got / self.get_quantity;
        let is_whole = got == multiples * self.get_quantity && bought == multiples * self.buy_quantity;
        let is_allowed = is_whole && (self.limit == 0 || multiples <= self.limit);
        let is_better = self.best.is_none_or(|(most, least)| multiples > most || multiples == most && sum < least);
        if is_allowed && is_better {
            self.best = Some((multiples, sum));
        }
    }
}

fn sum_by_oracle(discount: &Discount, cart: &Cart) -> i64 {
    let Target::BuyGet { buy, buy_quantity, get, get_quantity } = &discount.target else { panic!("another target") };
    let units = cart
        .lines()
        .iter()
        .flat_map(|line| (0..line.quantity).map(|_| (line.unit_amount, buy.selects(line), get.selects(line))));
    let mut oracle = Oracle {
        units: units.collect(),
        buy_quantity: *buy_quantity as usize,
        get_quantity: *get_quantity as usize,
        limit: discount.limit_per_order as usize,
        best: None,
    };
    oracle.choose(0, 0, 0, 0);
    oracle.best.expect("no multiple is always possible").1
}

fn offers() -> impl Strategy<Value = Discount> {
    let quantities = (1..4_u64, 1..4_u64, 0..3_u64);
    (any_selector(), any_selector(), any::<bool>(), quantities).prop_map(|(buy, other, same, (bought, got, limit))| {
        let get: Selector = if same { buy.clone() } else { other };
        let target = Target::BuyGet { buy, buy_quantity: bought, get, get_quantity: got };
        Discount { limit_per_order: limit, ..percent(10_000, target) }
    })
}

/// Few different prices, so that ties are frequent.
fn small_carts() -> impl Strategy<Value = Cart> {
    let lines = proptest::collection::vec((0..3_usize, 1..4_u64, 1..6_i64), 1..5);
    lines.prop_map(|lines| {
        let mut rest = UNITS_MAX;
        let fitting = lines.into_iter().filter_map(|(sku, quantity, price)| {
            let quantity = quantity.min(rest);
            rest -= quantity;
            (quantity > 0).then(|| line(["A", "B", "C"][sku], quantity, price))
        });
        cart(fitting.collect())
    })
}

#[test]
fn buy_get_equals_the_best_of_all_ways_to_choose_units() {
    let mut runner = TestRunner::deterministic();
    let strategy = (offers(), small_carts());
    let (began, mut discounted) = (Instant::now(), 0);
    for _ in 0..CARTS {
        let (discount, cart) = strategy.new_tree(&mut runner).expect("a case").current();
        let expected = sum_by_oracle(&discount, &cart);
        assert_eq!(total(&discount, &cart), expected, "{discount:?} {cart:?} after {:?}", began.elapsed());
        discounted += usize::from(expected > 0);
    }
    assert!(discounted > CARTS / 4, "only {discounted} carts got a discount");
}
