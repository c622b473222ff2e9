//! One test for each class of bugs about money that open shops have shipped, named after the class.

use codemint_offers::discount::rule::{Discount, Target};

use codemint_offers::read::campaign::{NameFrom, read_definition};
use serde_json::json;

use crate::steps::{all, amount, buy_get, cart, definition, granted, granted_lines, line, percent, total};

#[test]
fn regression_class_per_unit_rounding_times_quantity() {
    // 5 % of 9 is 0.45 a unit: rounded for each unit, a thousand units would get nothing off.
    let cart = cart(vec![line("A", 1000, 9)]);
    assert_eq!(total(&percent(500, Target::Items { selector: all() }), &cart), 450);
}

#[test]
fn regression_class_negative_totals() {
    let cart = cart(vec![line("A", 1, 300), line("B", 1, 0)]);
    for target in [Target::Order, Target::Items { selector: all() }, Target::Group { selector: all() }] {
        let granted = granted(&amount(5000, target), &cart).expect("a discount");
        assert_eq!((granted.amount, granted.lines), (300, vec![300, 0]));
    }
}

#[test]
fn regression_class_buy_get_depends_on_the_order_of_the_cart() {
    let (dear, cheap, middle) = (line("A", 1, 900), line("B", 1, 100), line("C", 1, 500));
    let orders = [
        vec![dear.clone(), cheap.clone(), middle.clone()],
        vec![cheap.clone(), middle.clone(), dear.clone()],
        vec![middle, dear, cheap],
    ];
    assert_eq!(orders.map(|lines| total(&buy_get(2, 1, 10_000), &cart(lines))), [100; 3]);
}

#[test]
fn regression_class_over_applied_multiples() {
    let cart = cart(vec![line("A", 100, 500)]);
    let limited = Discount { limit_per_order: 3, ..buy_get(2, 1, 10_000) };
    assert_eq!(total(&limited, &cart), 1500);
    assert_eq!(total(&buy_get(2, 1, 10_000), &cart), 33 * 500);
}

#[test]
fn regression_class_a_qualifying_unit_is_also_discounted() {
    let cart = cart(vec![line("A", 2, 500)]);
    assert_eq!(granted(&buy_get(2, 1, 10_000), &cart), None);
}

#[test]
fn regression_class_a_fixed_amount_is_read_as_a_percentage() {
    let cart = cart(vec![line("A", 1, 20_000)]);
    assert_eq!(total(&amount(1000, Target::Order), &cart), 1000);
    assert_eq!(total(&percent(1000, Target::Order), &cart), 2000);
}

#[test]
fn regression_class_the_last_line_takes_the_rest() {
    // Thirds of 100 would leave the last line with 34, and with more lines with a part above its price.
    let cart = cart(vec![line("A", 1, 1000), line("B", 1, 1000), line("C", 1, 1000)]);
    assert_eq!(granted_lines(&amount(100, Target::Order), &cart), [34, 33, 33]);
    let lines = (0..9).map(|_| line("A", 1, 100)).chain([line("B", 1, 1)]).collect();
    let granted = granted_lines(&amount(899, Target::Order), &self::cart(lines));
    assert_eq!((granted.iter().sum::<i64>(), granted[9]), (899, 1));
}

#[test]
fn regression_class_the_end_date_moves_by_a_zone_at_each_save() {
    let ends_at = "2027-03-28T00:00:00+01:00";
    let mut saved = definition(&json!({ "zone": "Europe/Berlin", "ends_at": ends_at }));
    for _ in 0..10 {
        let document = serde_json::to_value(&saved).expect("a document");
        assert_eq!(document["ends_at"], ends_at);
        saved = read_definition(&document, NameFrom::Document).expect("a definition");
    }
}

#[test]
fn regression_a_name_or_a_time_that_is_no_longer_allowed_is_still_read_from_a_store() {
    let mut document = serde_json::to_value(definition(&json!({}))).expect("a document");
    document["name"] = json!("..");
    document["ends_at"] = json!("9999-12-31T23:59:59-05:00");
    let problems = read_definition(&document, NameFrom::Document).expect_err("problems");
    let fields: Vec<&str> = problems.iter().map(|problem| problem.field.as_str()).collect();
    assert_eq!(fields, ["/name", "/ends_at"]);
    assert_eq!(read_definition(&document, NameFrom::Stored).expect("a definition").name, "..");
}
