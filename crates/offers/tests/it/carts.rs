//! Limits of carts.

use codemint_offers::cart::{Cart, LINES_MAX, QUANTITY_MAX};
use codemint_offers::money::AMOUNT_MAX;

use crate::steps::{currency, line};

fn problems(lines: Vec<codemint_offers::cart::Line>) -> Vec<(String, String)> {
    let problems = Cart::new(currency("EUR"), lines).expect_err("a problem");
    problems.into_iter().map(|problem| (problem.field, problem.message)).collect()
}

fn fields(lines: Vec<codemint_offers::cart::Line>) -> Vec<String> {
    problems(lines).into_iter().map(|(field, _)| field).collect()
}

#[test]
fn a_cart_without_lines_or_with_too_many_is_refused() {
    assert_eq!(fields(vec![]), ["/lines"]);
    assert_eq!(fields(vec![line("A", 1, 1); LINES_MAX + 1]), ["/lines"]);
    assert!(Cart::new(currency("EUR"), vec![line("A", 1, 1); LINES_MAX]).is_ok());
}

#[test]
fn every_wrong_number_is_named_with_its_line() {
    let lines = vec![line("A", 0, -1), line("B", 1, 1), line("C", QUANTITY_MAX + 1, AMOUNT_MAX + 1)];
    let expected = ["/lines/0/quantity", "/lines/0/unit_amount", "/lines/2/quantity", "/lines/2/unit_amount"];
    assert_eq!(fields(lines), expected);
}

#[test]
fn a_total_that_would_overflow_is_refused_with_its_value() {
    let lines = vec![line("A", QUANTITY_MAX, AMOUNT_MAX); LINES_MAX];
    let [(field, message)] = &problems(lines)[..] else { panic!("one problem") };
    assert_eq!(field, "/lines");
    assert_eq!(
        message,
        "the cart is worth 1000000000000000000000000000 minor units; at most 1000000000000000 are allowed"
    );
}
