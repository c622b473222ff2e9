//! Carts and contexts as they arrive.

use codemint_offers::condition::attribute::Attribute;
use codemint_offers::problem::Problem;
use codemint_offers::read::request::{read_cart, read_context, read_request};
use serde_json::{Value, json};

use crate::steps::eur;

fn fields(problems: Vec<Problem>) -> Vec<String> {
    problems.into_iter().map(|problem| problem.field).collect()
}

#[test]
fn the_cart_of_the_documentation_is_read() {
    let cart = json!({ "currency": "EUR", "lines": [
        { "sku": "DOG-1", "groups": ["dogs"], "quantity": 2, "unit_amount": 1999 }] });
    let cart = read_cart(&cart).expect("a cart");
    assert_eq!((cart.amount(), cart.quantity(), cart.lines()[0].groups.len()), (3998, 2, 1));
}

#[test]
fn no_problem_of_a_request_repeats_a_text_of_it() {
    const SECRET: &str = "SPRING-17@example.org";
    for request in [
        json!(SECRET),
        json!({ "code": [SECRET], "identity": { SECRET: 1 } }),
        json!({ "code": "A", "cart": SECRET, "click_id": SECRET, "hold_seconds": SECRET }),
        json!({ "code": "A", "cart": { "currency": SECRET, "lines": SECRET, SECRET: 1 }, SECRET: 1 }),
        json!({ "code": "A", "context": { "segments": SECRET, "attributes": { "vip": [SECRET] }, SECRET: 1 } }),
    ] {
        let problems = read_request(&request).expect_err("problems");
        assert!(!format!("{problems:?}").contains("17@example"), "{problems:?}");
    }
    let typo = read_request(&json!({ "code": "A", "idenity": "ann" })).expect_err("a problem");
    assert_eq!(typo[0].field, "/idenity");
}

#[test]
fn whatever_a_buyer_types_is_a_code() {
    for typed in ["\u{e9}1", "\u{1f600}", "A\u{0}", "SPRING"] {
        assert_eq!(read_request(&json!({ "code": typed })).expect("a request").code, typed);
    }
    for none in ["", " ", &"A".repeat(300)] {
        assert_eq!(fields(read_request(&json!({ "code": none })).expect_err("a problem")), ["/code"]);
    }
}

#[test]
fn every_problem_of_a_cart_is_reported() {
    let line = |changes: Value| {
        let mut line = json!({ "sku": "A", "quantity": 1, "unit_amount": 1 });
        for (name, value) in changes.as_object().expect("an object") {
            line[name] = value.clone();
        }
        line
    };
    for (cart, expected) in [
        (json!([]), vec![""]),
        (json!({}), vec!["/currency", "/lines"]),
        (json!({ "currency": "XXX", "lines": [], "total": 1 }), vec!["/total", "/currency", "/lines"]),
        (
            json!({ "currency": "EUR", "lines": [line(json!({ "quantity": 0 })), line(json!({ "unit_amount": 19.99, "sku": "" }))] }),
            vec!["/lines/0/quantity", "/lines/1/sku", "/lines/1/unit_amount"],
        ),
        (
            json!({ "currency": "EUR", "lines": [line(json!({ "unit_amount": -5, "groups": "dogs", "price": 1 }))] }),
            vec!["/lines/0/price", "/lines/0/groups", "/lines/0/unit_amount"],
        ),
        (
            json!({ "currency": "EUR", "lines": [line(json!({ "quantity": 1_000_000_000, "unit_amount": 1_000_000_000 }))] }),
            vec!["/lines"],
        ),
    ] {
        assert_eq!(fields(read_cart(&cart).expect_err("problems")), expected, "{cart}");
    }
}

#[test]
fn attributes_of_a_context_have_the_type_of_their_form() {
    let context = json!({ "source": "newsletter", "segments": ["gold"], "use_case": null, "attributes": {
        "city": "Berlin", "age": 30, "vip": true, "spent": { "currency": "EUR", "amount": 5 },
        "since": { "day": "2027-03-01" }, "unknown": null } });
    let context = read_context(&context).expect("a context");
    assert_eq!((context.source.as_deref(), context.use_case, context.attributes.len()), (Some("newsletter"), None, 5));
    assert_eq!(context.attributes["spent"], Attribute::Money(eur(5)));
    assert_eq!(context.attributes["since"], Attribute::Day { day: "2027-03-01".parse().expect("a day") });
}

#[test]
fn every_problem_of_a_context_is_reported() {
    let context = json!({ "source": 7, "segment": "gold", "attributes": {
        "a/b~c": 1.5, "day": { "day": "1.3.2027" }, "list": [], "text": "a\nb", "huge": u64::MAX, "zero\u{0}": "x" } });
    let expected = [
        "/segment",
        "/source",
        "/attributes/a~1b~0c",
        "/attributes/day/day",
        "/attributes/huge",
        "/attributes/list",
        "/attributes/text",
        "/attributes/zero\u{0}",
    ];
    assert_eq!(fields(read_context(&context).expect_err("problems")), expected);
}
