//! How fast is a verdict on one core?
//!
//! - `verdict`: a cart of 20 lines, "buy 2, get 1" with selectors by SKU and group, and a condition of 10 nodes: at least
//!   500,000 a second.
//! - `million`: the same cart with 1,000,000 units a line. It does the same work, so it may take at most a tenth longer.
//! - `order`: 10 % off the order, without a condition; no bound.
//! - `refused`: the first campaign where its condition is not met, with the message; no bound.
//! - `expression`: the first campaign with a condition in CEL instead; no bound.
//!
//! Bounds apply to the best repetition of each row, because other load on the machine can only slow a repetition down.

#![expect(clippy::print_stdout, reason = "a benchmark's result")]

use std::collections::{BTreeMap, BTreeSet};
use std::hint::black_box;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use codemint_offers::campaign::definition::Definition;
use codemint_offers::cart::{Cart, Line};
use codemint_offers::condition::attribute::Attribute;
use codemint_offers::money::Currency;
use codemint_offers::read::campaign::{NameFrom, read_definition};
use codemint_offers::verdict::decide::verdict;
use codemint_offers::verdict::facts::{CampaignFacts, CodeFacts, Context, UseFacts};
use serde_json::{Value, json};

const LINES: usize = 20;
const VERDICTS: u32 = 20_000;
const REPEAT_FOR: Duration = Duration::from_secs(3);
const VERDICTS_A_SECOND_MIN: f64 = 500_000.0;
const MILLION_RATIO_MAX: f64 = 1.1;

fn main() -> ExitCode {
    let (few, million) = (cart(1), cart(1_000_000));
    let (buy_get, met, unmet) = (campaign(&condition(), &Value::Null), context("Berlin"), context("Bonn"));
    let order = campaign(&Value::Null, &Value::Null);
    let order = Definition { discount: order_discount(), ..order };
    let expression = campaign(&Value::Null, &json!("attributes.city == 'Berlin' && attributes.age >= 18"));
    println!("row               best   median   verdicts a second");
    let rows = [
        ("verdict", measure(&buy_get, &few, &met)),
        ("million", measure(&buy_get, &million, &met)),
        ("order", measure(&order, &few, &met)),
        ("refused", measure(&buy_get, &few, &unmet)),
        ("expression", measure(&expression, &few, &met)),
    ];
    for (name, seconds) in &rows {
        let a_second = |seconds: f64| f64::from(VERDICTS) / seconds;
        println!("{name:<12} {:>9.0} {:>9.0}", a_second(seconds[0]), a_second(seconds[seconds.len() / 2]));
    }
    let (verdict, million) = (rows[0].1[0], rows[1].1[0]);
    let is_fast = f64::from(VERDICTS) / verdict >= VERDICTS_A_SECOND_MIN;
    let is_even = million / verdict <= MILLION_RATIO_MAX;
    println!("verdict: bound {VERDICTS_A_SECOND_MIN:.0} a second: {}", word(is_fast));
    println!("million / verdict {:.2}, bound {MILLION_RATIO_MAX:.2}: {}", million / verdict, word(is_even));
    if is_fast && is_even { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn word(holds: bool) -> &'static str {
    if holds { "holds" } else { "MISSED" }
}

/// Returns the seconds of each repetition, ascending.
fn measure(campaign: &Definition, cart: &Cart, context: &Context) -> Vec<f64> {
    let now: DateTime<Utc> = "2027-03-10T12:00:00Z".parse().expect("a time");
    let segments = BTreeSet::from(["gold".to_owned()]);
    let facts = UseFacts {
        campaign: CampaignFacts { uses: 5, spent: 0 },
        code: CodeFacts { uses: 0, owner: None },
        identity: None,
        earlier: &[],
        cart: Some(cart),
        context,
        segments: &segments,
    };
    let (began, mut seconds) = (Instant::now(), Vec::new());
    while began.elapsed() < REPEAT_FOR {
        let started = Instant::now();
        for _ in 0..VERDICTS {
            black_box(verdict(black_box(campaign), black_box(&facts), now));
        }
        seconds.push(started.elapsed().as_secs_f64());
    }
    seconds.sort_by(f64::total_cmp);
    seconds
}

fn cart(quantity: u64) -> Cart {
    let line = |number: usize| Line {
        sku: format!("SKU-{number}"),
        groups: vec![["dogs", "cats", "birds"][number % 3].to_owned()],
        quantity,
        unit_amount: 500 + (number as i64 * 7919) % 1000,
    };
    Cart::new(Currency::from_code("EUR").expect("a currency"), (0..LINES).map(line).collect()).expect("a cart")
}

fn campaign(condition: &Value, expression: &Value) -> Definition {
    let document = json!({
        "title": "Spring", "kind": "private", "active": true, "mask": "SPRING-####",
        "starts_at": "2027-03-01T00:00:00+01:00", "ends_at": "2027-04-01T00:00:00+02:00", "zone": "Europe/Berlin",
        "limits": { "per_code": 1, "redeemed": 1000 },
        "discount": { "effect": { "type": "percent", "basis_points": 5000 }, "target": { "type": "buy_get",
            "buy": { "groups": ["dogs", "cats"] }, "buy_quantity": 2,
            "get": { "groups": ["cats"], "skus": ["SKU-3", "SKU-5"], "except_skus": ["SKU-7"] }, "get_quantity": 1 } },
        "condition": condition, "expression": expression,
    });
    read_definition(&document, NameFrom::Path("spring")).expect("a definition")
}

fn order_discount() -> codemint_offers::discount::rule::Discount {
    use codemint_offers::discount::rule::{Discount, Effect, Target};
    Discount { effect: Effect::Percent { basis_points: 1000 }, target: Target::Order, limit_per_order: 0, cap: None }
}

/// Ten nodes, none of which can be skipped if the condition holds.
fn condition() -> Value {
    json!({ "all": [
        { "in": { "attribute": "city", "values": ["Hamburg", "Berlin"] } },
        { "compare": { "attribute": "age", "op": "ge", "value": 18 } },
        { "compare": { "attribute": "order.amount", "op": "ge", "value": { "currency": "EUR", "amount": 5000 } } },
        { "compare": { "attribute": "since", "op": "lt", "value": { "day": "2027-01-01" } } },
        { "not": { "compare": { "attribute": "blocked", "op": "eq", "value": true } } },
        { "any": [
            { "member": { "segment": "silver" } },
            { "member": { "segment": "gold" } } ] } ] })
}

fn context(city: &str) -> Context {
    let day = "2026-05-01".parse().expect("a day");
    let attributes = BTreeMap::from([
        ("city".to_owned(), Attribute::Text(city.to_owned())),
        ("age".to_owned(), Attribute::Integer(30)),
        ("since".to_owned(), Attribute::Day { day }),
        ("blocked".to_owned(), Attribute::Boolean(false)),
    ]);
    Context { attributes, ..Context::default() }
}
