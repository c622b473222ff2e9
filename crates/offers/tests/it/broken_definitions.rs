//! One hundred broken definitions, with every problem that each of them has.

use codemint_offers::read::campaign::{NameFrom, read_definition};
use codemint_offers::read::node::PROBLEMS_MAX;
use serde_json::{Map, Value, json};

use crate::steps::document;

/// Fields that are replaced in a valid definition (null leaves one out), and the expected problems as `pointer: part of the
/// message`, in the order in which they are reported.
type Case = (&'static str, &'static [&'static str]);

#[rustfmt::skip]
const FIELDS: &[Case] = &[
    (r#"{"title": null}"#, &["/title: title is missing"]),
    (r#"{"title": 7}"#, &["/title: found 7; a text is expected"]),
    (r#"{"title": ""}"#, &["/title: empty or contains control"]),
    (r#"{"title": " \t "}"#, &["/title: empty or contains control"]),
    (r#"{"title": "a\nb"}"#, &["/title: plain text of one line"]),
    (r#"{"title": ["Spring"]}"#, &["/title: found a list; a text is expected"]),
    (r#"{"kind": null}"#, &["/kind: kind is missing"]),
    (r#"{"kind": "secret"}"#, &["/kind: found \"secret\"; one of public, private, restricted is expected"]),
    (r#"{"kind": "Private"}"#, &["/kind: one of public, private, restricted"]),
    (r#"{"kind": 1}"#, &["/kind: found 1"]),
    (r#"{"purpose": "gift"}"#, &["/purpose: one of regular, referral"]),
    (r#"{"active": "yes"}"#, &["/active: found \"yes\"; true or false is expected"]),
    (r#"{"active": 1}"#, &["/active: true or false"]),
    (r#"{"starts_at": "2027-03-01"}"#, &["/starts_at: a time with its offset"]),
    (r#"{"starts_at": "2027-03-01T00:00:00"}"#, &["/starts_at: a time with its offset"]),
    (r#"{"ends_at": "tomorrow"}"#, &["/ends_at: found \"tomorrow\""]),
    (r#"{"ends_at": 1800000000}"#, &["/ends_at: found 1800000000"]),
    (r#"{"ends_at": "9999-12-31T23:59:59-05:00"}"#, &["/ends_at: in UTC the year does not have four digits"]),
    (r#"{"starts_at": "2027-03-02T00:00:00Z", "ends_at": "2027-03-01T00:00:00Z"}"#, &["/ends_at: must be later than starts_at"]),
    (r#"{"starts_at": "2027-03-01T01:00:00+01:00", "ends_at": "2027-03-01T00:00:00Z"}"#, &["/ends_at: must be later"]),
    (r#"{"zone": "Berlin"}"#, &["/zone: an IANA name such as Europe/Berlin"]),
    (r#"{"zone": "+01:00"}"#, &["/zone: the time zone is unknown"]),
    (r#"{"zone": 1}"#, &["/zone: the time zone is unknown"]),
    (r#"{"mask": null}"#, &["/mask: mask is missing"]),
    (r#"{"mask": ""}"#, &["/mask: the mask is empty"]),
    (r#"{"mask": 7}"#, &["/mask: found 7; a text is expected"]),
    (r#"{"mask": "SPRING ####"}"#, &["/mask: byte 7: found a space"]),
    (r#"{"mask": "SPRING-[A"}"#, &["/mask: is not closed"]),
    (r#"{"mask": "SPRING"}"#, &["/mask: no placeholders"]),
    (r#"{"kind": "restricted", "mask": "SPRING"}"#, &["/mask: no placeholders"]),
    (r#"{"kind": "public"}"#, &["/mask: the mask has placeholders and a public campaign has one code"]),
    (r#"{"kind": "public", "mask": "SPRING[:check:]"}"#, &["/mask: has placeholders"]),
    (r#"{"exclusive": "no"}"#, &["/exclusive: true or false"]),
    (r#"{"sources": "newsletter"}"#, &["/sources: found \"newsletter\"; a list is expected"]),
    (r#"{"sources": ["a", 7, ""]}"#, &["/sources/1: found 7", "/sources/2: empty"]),
    (r#"{"ads": {"a": 1}}"#, &["/ads: found an object; a list is expected"]),
    (r#"{"affiliates": [null]}"#, &["/affiliates/0: found null; a text is expected"]),
    (r#"{"segments": [["gold"]]}"#, &["/segments/0: found a list"]),
    (r#"{"wait_days_after_deactivation": -1}"#, &["/wait_days_after_deactivation: a whole number from 0 to 3650"]),
    (r#"{"wait_days_after_deactivation": 2.5}"#, &["/wait_days_after_deactivation: found 2.5"]),
    (r#"{"name": "a\u0007"}"#, &["/name: contains control characters"]),
    (r#"{"name": "summer"}"#, &["/name: differs from the one in the path"]),
    (r#"{"name": 7}"#, &["/name: found 7; a text is expected"]),
    (r#"{"titel": "Spring"}"#, &["/titel: unknown field; the fields here are name, title"]),
    (r#"{"a/b~c": 1, "counts": {}}"#, &["/a~1b~0c: unknown field", "/counts: unknown field"]),
];

#[rustfmt::skip]
const LIMITS: &[Case] = &[
    (r#"{"limits": []}"#, &["/limits: found a list; an object is expected"]),
    (r#"{"limits": {"per_code": -1}}"#, &["/limits/per_code: found -1; a whole number from 0 to"]),
    (r#"{"limits": {"per_code": "1"}}"#, &["/limits/per_code: found \"1\""]),
    (r#"{"limits": {"per_code": 1.0}}"#, &["/limits/per_code: found 1.0; a whole number"]),
    (r#"{"limits": {"redeemed": 1000000000001}}"#, &["/limits/redeemed: to 1000000000000"]),
    (r#"{"limits": {"redeemed": 1e30}}"#, &["/limits/redeemed: a whole number"]),
    (r#"{"limits": {"issued": true, "per_identity": {}}}"#, &["/limits/per_identity: found an object", "/limits/issued: found true"]),
    (r#"{"limits": {"percode": 1}}"#, &["/limits/percode: the fields here are per_code, per_identity, redeemed, issued, budget"]),
    (r#"{"limits": {"budget": 100000}}"#, &["/limits/budget: found 100000; an object is expected"]),
    (r#"{"limits": {"budget": {}}}"#, &["/limits/budget/currency: is missing", "/limits/budget/amount: is missing"]),
    (r#"{"limits": {"budget": {"currency": "EUR", "amount": 0}}}"#, &["/limits/budget/amount: from 1 to 1000000000000000"]),
    (r#"{"limits": {"budget": {"currency": "eur", "amount": 5}}}"#, &["/limits/budget/currency: ISO 4217"]),
    (r#"{"limits": {"budget": {"currency": "XAU", "amount": 19.99}}}"#, &["/limits/budget/currency: minor units", "/limits/budget/amount: found 19.99"]),
    (r#"{"limits": {"budget": {"currency": "USD", "amount": 5}}, "discount": {"effect": {"type": "amount", "amount": 5, "currency": "EUR"}, "target": {"type": "order"}}}"#,
        &["/limits/budget/currency: the budget is in USD and the discount in EUR"]),
    (r#"{"limits": {"budget": {"currency": "USD", "amount": 5}}, "discount": {"effect": {"type": "percent", "basis_points": 5}, "target": {"type": "order"}, "cap": {"currency": "EUR", "amount": 5}}}"#,
        &["/limits/budget/currency: use one currency"]),
];

/// Discounts, as the fields of `discount` alone.
#[rustfmt::skip]
const DISCOUNTS: &[Case] = &[
    (r#"null"#, &["/discount: discount is missing"]),
    (r#"{}"#, &["/discount/effect: effect is missing", "/discount/target: target is missing"]),
    (r#"{"effect": "10 %", "target": "order"}"#, &["/discount/effect: an object is expected", "/discount/target: an object is expected"]),
    (r#"{"effect": {}, "target": {}}"#, &["/discount/effect/type: type is missing", "/discount/target/type: type is missing"]),
    (r#"{"effect": {"type": "free"}, "target": {"type": "order"}}"#, &["/discount/effect/type: one of percent, amount"]),
    (r#"{"effect": {"type": "percent"}, "target": {"type": "order"}}"#, &["/discount/effect/basis_points: is missing"]),
    (r#"{"effect": {"type": "percent", "basis_points": 0}, "target": {"type": "order"}}"#, &["/discount/effect/basis_points: from 1 to 10000"]),
    (r#"{"effect": {"type": "percent", "basis_points": 10001}, "target": {"type": "order"}}"#, &["/discount/effect/basis_points: found 10001"]),
    (r#"{"effect": {"type": "percent", "basis_points": 12.5}, "target": {"type": "order"}}"#, &["/discount/effect/basis_points: found 12.5"]),
    (r#"{"effect": {"type": "percent", "percent": 10}, "target": {"type": "order"}}"#,
        &["/discount/effect/percent: the fields here are type, basis_points", "/discount/effect/basis_points: is missing"]),
    (r#"{"effect": {"type": "percent", "basis_points": 1, "amount": 5}, "target": {"type": "order"}}"#, &["/discount/effect/amount: unknown field"]),
    (r#"{"effect": {"type": "amount", "amount": 5}, "target": {"type": "order"}}"#, &["/discount/effect/currency: is missing"]),
    (r#"{"effect": {"type": "amount", "amount": 0, "currency": "EURO"}, "target": {"type": "order"}}"#,
        &["/discount/effect/amount: from 1 to", "/discount/effect/currency: found \"EURO\""]),
    (r#"{"effect": {"type": "amount", "amount": -500, "currency": "EUR"}, "target": {"type": "order"}}"#, &["/discount/effect/amount: found -500"]),
    (r#"{"effect": {"type": "percent", "basis_points": 1}, "target": {"type": "cart"}}"#, &["/discount/target/type: one of order, items, group, buy_get"]),
    (r#"{"effect": {"type": "percent", "basis_points": 1}, "target": {"type": "order", "selector": {"all": true}}}"#,
        &["/discount/target/selector: the fields here are type"]),
    (r#"{"effect": {"type": "percent", "basis_points": 1}, "target": {"type": "items"}}"#, &["/discount/target/selector: is missing"]),
    (r#"{"effect": {"type": "percent", "basis_points": 1}, "target": {"type": "items", "selector": {}}}"#, &["/discount/target/selector: nothing is selected"]),
    (r#"{"effect": {"type": "percent", "basis_points": 1}, "target": {"type": "items", "selector": {"except_skus": ["A"]}}}"#, &["/discount/target/selector: nothing is selected"]),
    (r#"{"effect": {"type": "percent", "basis_points": 1}, "target": {"type": "group", "selector": {"all": true, "skus": ["A"]}}}"#, &["/discount/target/selector: all is true beside"]),
    (r#"{"effect": {"type": "percent", "basis_points": 1}, "target": {"type": "group", "selector": {"sku": "A"}}}"#,
        &["/discount/target/selector/sku: the fields here are all, skus", "/discount/target/selector: nothing is selected"]),
    (r#"{"effect": {"type": "percent", "basis_points": 1}, "target": {"type": "items", "selector": {"skus": ["A", 1]}}}"#, &["/discount/target/selector/skus/1: found 1"]),
    (r#"{"effect": {"type": "percent", "basis_points": 1}, "target": {"type": "buy_get"}}"#,
        &["/discount/target/buy: is missing", "/discount/target/buy_quantity: is missing", "/discount/target/get: is missing", "/discount/target/get_quantity: is missing"]),
    (r#"{"effect": {"type": "percent", "basis_points": 1}, "target": {"type": "buy_get", "buy": {"all": true}, "buy_quantity": 0, "get": {"all": 1}, "get_quantity": 1000001}}"#,
        &["/discount/target/buy_quantity: from 1 to 1000000", "/discount/target/get/all: true or false", "/discount/target/get_quantity: found 1000001"]),
    (r#"{"effect": {"type": "amount", "amount": 5, "currency": "EUR"}, "target": {"type": "buy_get", "buy": {"all": true}, "buy_quantity": 1, "get": {"all": true}, "get_quantity": 1}}"#,
        &["/discount/effect/type: a discount on buy_get is a percent"]),
    (r#"{"effect": {"type": "percent", "basis_points": 1}, "target": {"type": "order"}, "limit_per_order": -1, "cap": 500}"#,
        &["/discount/limit_per_order: found -1", "/discount/cap: found 500; an object is expected"]),
    (r#"{"effect": {"type": "amount", "amount": 5, "currency": "EUR"}, "target": {"type": "order"}, "cap": {"currency": "USD", "amount": 5}}"#,
        &["/discount/cap/currency: the cap is in USD and the discount in EUR"]),
];

/// Conditions, as the field `condition` alone.
#[rustfmt::skip]
const CONDITIONS: &[Case] = &[
    (r#"{}"#, &["/condition: exactly one field"]),
    (r#"[]"#, &["/condition: an object is expected"]),
    (r#"{"all": []}"#, &["/condition/all: found 0 values; 1 to 100"]),
    (r#"{"any": {"member": {"segment": "a"}}}"#, &["/condition/any: a list is expected"]),
    (r#"{"xor": []}"#, &["/condition/xor: unknown field", "/condition: exactly one field"]),
    (r#"{"not": {"member": {"segment": "a"}}, "all": [{"member": {"segment": "b"}}]}"#, &["/condition: exactly one field"]),
    (r#"{"member": {"segment": "a"}, "not": null}"#, &["/condition: exactly one field"]),
    (r#"{"compare": {"attribute": "a", "op": "=", "value": 1}}"#, &["/condition/compare/op: one of eq, ne, lt, le, gt, ge"]),
    (r#"{"compare": {"op": "eq"}}"#, &["/condition/compare/attribute: is missing", "/condition/compare/value: is missing"]),
    (r#"{"compare": {"attribute": "a", "op": "lt", "value": "text"}}"#, &["/condition/compare/op: a text is not less"]),
    (r#"{"compare": {"attribute": "a", "op": "ge", "value": true}}"#, &["/condition/compare/op: use eq or ne"]),
    (r#"{"compare": {"attribute": "a", "op": "eq", "value": 1.5}}"#, &["/condition/compare/value: found 1.5"]),
    (r#"{"compare": {"attribute": "a", "op": "eq", "value": {"day": "1.3.2027"}}}"#, &["/condition/compare/value/day: a day such as"]),
    (r#"{"all": [{"in": {"attribute": "a", "values": ["x", 1]}}, {"in": {"attribute": "a", "values": []}}]}"#,
        &["/condition/all/0/in/values: different types", "/condition/all/1/in/values: found 0 values"]),
];

#[rustfmt::skip]
const AGREEMENT: &[Case] = &[
    (r#"{"use_cases": ["location.created"], "segments": ["a"]}"#, &["/use_cases: only a restricted campaign can"]),
    (r#"{"kind": "restricted", "use_cases": ["location.created"]}"#, &["/segments: name those for whom location.created issues codes"]),
    (r#"{"use_cases": ["location.created", "preset"]}"#, &["/use_cases: only a restricted campaign", "/segments: segments is empty"]),
    (r#"{"kind": "restricted", "use_cases": ["Location Created"]}"#, &["/use_cases/0: other characters than a-z"]),
    (r#"{"kind": "restricted", "wait_days_after_deactivation": 5}"#, &["/wait_days_after_deactivation: no use case is the type of a trigger"]),
    (r#"{"kind": "restricted", "use_cases": ["preset"], "wait_days_after_deactivation": 5}"#, &["/wait_days_after_deactivation: so nothing waits"]),
    (r#"{"referral": {}}"#, &["/referral: the purpose is regular"]),
    (r#"{"purpose": "referral"}"#, &["/referral: referral is missing", "/limits/per_identity: write 1"]),
    (r#"{"purpose": "referral", "referral": {}, "kind": "restricted", "limits": {"per_code": 1, "per_identity": 2}}"#,
        &["/kind: write private", "/limits/per_code: write 0", "/limits/per_identity: write 1"]),
    (r#"{"purpose": "referral", "limits": {"per_identity": 1}, "referral": {"reward_campaign": "spring"}}"#, &["/referral/reward_campaign: cannot reward itself"]),
    (r#"{"purpose": "referral", "limits": {"per_identity": 1}, "referral": {"reward_delay_days": -1, "max_depth": 101, "forward_template": "", "depth": 1}}"#,
        &["/referral/depth: unknown field", "/referral/reward_delay_days: found -1", "/referral/max_depth: from 0 to 100", "/referral/forward_template: empty"]),
    (r#"{"purpose": "referral", "limits": {"per_identity": 1}, "referral": {"forward_template": "Hi {{name}}, {{code"}}"#,
        &["/referral/forward_template: {{name}} is not a placeholder; use one of {{code}}"]),
    (r#"{"purpose": "referral", "limits": {"per_identity": 1}, "referral": {"forward_template": "Hi {{code} and"}}"#,
        &["/referral/forward_template: has no }}; close it"]),
    (r#"{"expression": "1 +"}"#, &["/expression: not CEL"]),
    (r#"{"expression": "attributes.x == 'a\u0000'"}"#, &["/expression: the expression has the character U+0000"]),
    (r#"{"expression": 1}"#, &["/expression: found 1; a text is expected"]),
    (r#"{"expression": "segments.all(x, true)"}"#, &["/expression: loops such as all"]),
    (r#"{"expression": "city == 'Berlin'"}"#, &["/expression: the name city is unknown"]),
    (r#"{"offer": {"image_url": "banner.png", "landing_url": "javascript:alert(1)", "title": "x"}}"#,
        &["/offer/title: unknown field", "/offer/image_url: begins with https://", "/offer/landing_url: begins with https://"]),
    (r#"{"offer": "10 % off"}"#, &["/offer: an object is expected"]),
];

fn assert_problems(document: &Value, expected: &[&str]) {
    let found = read_definition(document, NameFrom::Path("spring")).expect_err(&document.to_string());
    let listed: Vec<String> = found.iter().map(ToString::to_string).collect();
    assert_eq!(found.len(), expected.len(), "{document}: {listed:#?}");
    for (problem, expected) in found.iter().zip(expected) {
        let (field, part) = expected.split_once(": ").expect("a pointer and a part");
        assert_eq!(problem.field, field, "{document}: {listed:#?}");
        assert!(problem.message.contains(part), "{document}: {listed:#?}");
    }
}

fn parsed(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

#[test]
fn one_hundred_broken_definitions_have_exactly_these_problems() {
    let whole = [FIELDS, LIMITS, AGREEMENT].concat();
    let whole = whole.into_iter().map(|(changes, expected)| (parsed(changes), expected));
    let discounts = DISCOUNTS.iter().map(|(discount, expected)| (json!({ "discount": parsed(discount) }), *expected));
    let conditions =
        CONDITIONS.iter().map(|(condition, expected)| (json!({ "condition": parsed(condition) }), *expected));
    let all: Vec<(Value, &[&str])> = whole.chain(discounts).chain(conditions).collect();
    assert!(all.len() >= 100, "{}", all.len());
    for (changes, expected) in all {
        assert_problems(&document(&changes), expected);
    }
}

#[test]
fn a_document_that_is_no_object_has_one_problem() {
    for document in [json!([]), json!(null), json!("spring"), json!(7)] {
        assert_problems(&document, &[": an object is expected"]);
    }
}

#[test]
fn problems_of_different_parts_are_reported_together() {
    let changes =
        json!({ "title": "", "kind": "secret", "limits": { "per_code": -1 }, "discount": {}, "zone": "Mars" });
    let expected = [
        "/title: empty",
        "/kind: one of",
        "/zone: unknown",
        "/limits/per_code: found -1",
        "/discount/effect: missing",
        "/discount/target: missing",
    ];
    assert_problems(&document(&changes), &expected);
}

#[test]
fn sizes_are_bounded() {
    let nested =
        |levels: usize| (0..levels).fold(json!({ "member": { "segment": "a" } }), |inner, _| json!({ "not": inner }));
    let leaf = json!({ "compare": { "attribute": "a", "op": "eq", "value": 1 } });
    let wide = |nodes: usize| json!({ "all": vec![json!({ "any": vec![leaf.clone(); nodes / 2 - 1] }); 2] });
    let values =
        |count: usize| json!({ "any": vec![json!({ "in": { "attribute": "a", "values": vec![1; count / 2] } }); 2] });
    for (field, value, expected) in [
        ("condition", nested(7), None),
        ("condition", nested(8), Some("/condition/not/not/not/not/not/not/not/not: nested deeper than 8 levels")),
        ("condition", wide(98), None),
        ("condition", wide(102), Some("/condition: more than 100 nodes")),
        ("condition", values(1000), None),
        ("condition", values(1002), Some("/condition: 1002 values; at most 1000")),
        ("expression", json!(format!("{}true", "true || ".repeat(90))), None),
        ("expression", json!(format!("{}true", "true || ".repeat(200))), Some("/expression: 1604 bytes; at most 1000")),
        (
            "sources",
            json!((0..1001).map(|number| number.to_string()).collect::<Vec<_>>()),
            Some("/sources: found 1001 values"),
        ),
        ("title", json!("x".repeat(201)), Some("/title: 201 characters; at most 200")),
        ("mask", json!("#".repeat(65)), Some("/mask: 2^100 codes or more")),
        ("offer", json!({ "text": "x".repeat(4001) }), Some("/offer/text: at most 4000")),
    ] {
        let document = document(&json!({ field: value }));
        match expected {
            Some(expected) => assert_problems(&document, &[expected]),
            None => assert!(read_definition(&document, NameFrom::Path("spring")).is_ok(), "{document}"),
        }
    }
}

#[test]
fn a_document_full_of_problems_reports_a_bounded_number() {
    let unknown: Map<String, Value> = (0..5000).map(|number| (format!("field {number}"), Value::Null)).collect();
    let problems = read_definition(&Value::Object(unknown), NameFrom::Path("spring")).expect_err("problems");
    assert_eq!(problems.len(), PROBLEMS_MAX);
}
