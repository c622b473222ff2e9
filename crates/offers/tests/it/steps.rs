//! Short ways to carts, discounts and definitions, and strategies for random ones.

use std::collections::BTreeSet;

use codemint_offers::campaign::definition::Definition;
use codemint_offers::cart::{Cart, Line};
use codemint_offers::discount::grant::{Granted, grant};
use codemint_offers::discount::left::Left;
use codemint_offers::discount::rule::{Discount, Effect, Selector, Target};
use codemint_offers::money::{Currency, Money};
use codemint_offers::read::campaign::{NameFrom, read_definition};
use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::{Just, ProptestConfig, Strategy, any, prop_oneof};
use proptest::sample::select;
use serde_json::{Value, json};

pub fn cases(cases: u32) -> ProptestConfig {
    ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(cases) }
}

pub fn currency(code: &str) -> Currency {
    Currency::from_code(code).expect("a currency")
}

pub fn eur(amount: i64) -> Money {
    Money { currency: currency("EUR"), amount }
}

/// A line whose item belongs to a group of the same name.
pub fn line(sku: &str, quantity: u64, unit_amount: i64) -> Line {
    Line { sku: sku.to_owned(), groups: vec![sku.to_owned()], quantity, unit_amount }
}

pub fn cart(lines: Vec<Line>) -> Cart {
    Cart::new(currency("EUR"), lines).expect("a cart")
}

pub fn all() -> Selector {
    Selector { all: true, ..Selector::default() }
}

pub fn skus(names: &[&str]) -> Selector {
    Selector { skus: names.iter().map(ToString::to_string).collect(), ..Selector::default() }
}

pub fn percent(basis_points: u32, target: Target) -> Discount {
    Discount { effect: Effect::Percent { basis_points }, target, limit_per_order: 0, cap: None }
}

pub fn amount(amount: i64, target: Target) -> Discount {
    Discount { effect: Effect::Amount(eur(amount)), target, limit_per_order: 0, cap: None }
}

pub fn buy_get(buy_quantity: u64, get_quantity: u64, basis_points: u32) -> Discount {
    percent(basis_points, Target::BuyGet { buy: all(), buy_quantity, get: all(), get_quantity })
}

/// What a discount takes off an untouched cart; all zero if that is nothing.
pub fn granted_lines(discount: &Discount, cart: &Cart) -> Vec<i64> {
    granted(discount, cart).map_or_else(|| vec![0; cart.lines().len()], |granted| granted.lines)
}

pub fn granted(discount: &Discount, cart: &Cart) -> Option<Granted> {
    grant(discount, cart, &Left::of(cart)).ok()
}

pub fn total(discount: &Discount, cart: &Cart) -> i64 {
    granted(discount, cart).map_or(0, |granted| granted.amount)
}

/// A definition with these fields replaced; null removes one.
pub fn document(changes: &Value) -> Value {
    let mut document = json!({
        "title": "Spring sale",
        "kind": "private",
        "active": true,
        "mask": "SPRING-####",
        "discount": { "effect": { "type": "percent", "basis_points": 1000 }, "target": { "type": "order" } },
    });
    for (name, value) in changes.as_object().expect("an object") {
        document[name] = value.clone();
    }
    document
}

pub fn definition(changes: &Value) -> Definition {
    read_definition(&document(changes), NameFrom::Path("spring")).expect("a definition")
}

const SKUS: [&str; 3] = ["A", "B", "C"];

/// Carts with few different items, so that selectors often meet them, and with odd prices.
pub fn any_cart(quantity_max: u64) -> impl Strategy<Value = Cart> {
    let price = prop_oneof![0..=5_i64, 0..=100_000_i64, Just(1_000_000_000)];
    let line = (select(SKUS.to_vec()), 1..=quantity_max, price).prop_map(|(sku, count, price)| line(sku, count, price));
    vec(line, 1..6).prop_map(cart)
}

pub fn any_selector() -> impl Strategy<Value = Selector> {
    let names = || proptest::collection::btree_set(select(SKUS.to_vec()).prop_map(str::to_owned), 0..3);
    (any::<bool>(), names(), names(), names()).prop_map(|(all, skus, groups, except_skus)| {
        if all || skus.is_empty() && groups.is_empty() {
            return Selector { all: true, skus: BTreeSet::new(), groups: BTreeSet::new(), except_skus };
        }
        Selector { all, skus, groups, except_skus }
    })
}

pub fn any_discount() -> impl Strategy<Value = Discount> {
    let targets = prop_oneof![
        Just(Target::Order),
        any_selector().prop_map(|selector| Target::Items { selector }),
        any_selector().prop_map(|selector| Target::Group { selector }),
        (any_selector(), 1..4_u64, any_selector(), 1..4_u64).prop_map(|(buy, buy_quantity, get, get_quantity)| {
            Target::BuyGet { buy, buy_quantity, get, get_quantity }
        }),
    ];
    let effects = prop_oneof![
        (1..=10_000_u32).prop_map(|basis_points| Effect::Percent { basis_points }),
        (1..=50_000_i64).prop_map(|amount| Effect::Amount(eur(amount))),
    ];
    let with_amount = |effect: &Effect, target: &Target| {
        matches!(effect, Effect::Percent { .. }) || !matches!(target, Target::BuyGet { .. })
    };
    let parts = (effects, targets, 0..5_u64, of((1..100_000_i64).prop_map(eur)));
    parts
        .prop_filter("an amount has no buy_get", move |(effect, target, ..)| with_amount(effect, target))
        .prop_map(|(effect, target, limit_per_order, cap)| Discount { effect, target, limit_per_order, cap })
}
