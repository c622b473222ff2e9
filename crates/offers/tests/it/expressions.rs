//! Conditions in CEL: what they can do, and that no text stalls or panics the process.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use chrono::NaiveDate;
use codemint_offers::condition::attribute::Attribute;
use codemint_offers::condition::expression::{
    EXPRESSION_BRACKETS_MAX, EXPRESSION_BYTES_MAX, Expression, ExpressionError,
};
use codemint_offers::condition::facts::Facts;
use proptest::prelude::{Strategy, any, prop_assert, prop_oneof, proptest};
use proptest::sample::select;

use crate::steps::{cart, cases, eur, line};

/// Far more than any accepted text needs, on a busy machine and without optimization.
const TIME_MAX: Duration = Duration::from_secs(5);
/// Half of what a thread of an async runtime has by default.
const STACK_BYTES: usize = 1 << 20;

fn evaluate(text: &str) -> Result<bool, String> {
    let attributes = BTreeMap::from([
        ("city".to_owned(), Attribute::Text("Berlin".to_owned())),
        ("age".to_owned(), Attribute::Integer(30)),
        ("since".to_owned(), Attribute::Day { day: NaiveDate::from_ymd_opt(2027, 1, 31).expect("a day") }),
        ("spent".to_owned(), Attribute::Money(eur(5000))),
        ("vip".to_owned(), Attribute::Boolean(true)),
    ]);
    let segments = BTreeSet::from(["gold".to_owned()]);
    let cart = cart(vec![line("A", 2, 1000)]);
    let day = NaiveDate::from_ymd_opt(2027, 3, 1).expect("a day");
    let expression = Expression::new(text).map_err(|error| error.to_string())?;
    expression.evaluate(&Facts { attributes: &attributes, segments: &segments, cart: Some(&cart), day })
}

#[test]
fn expressions_read_attributes_segments_and_the_order() {
    for text in [
        "attributes.city == 'Berlin' && attributes.age >= 18",
        "attributes.city in ['Hamburg', 'Berlin'] || false",
        "attributes.city.startsWith('Ber') && attributes.city.endsWith('lin') && attributes.city.contains('erl')",
        "attributes.since < '2027-02-01' && order.day == '2027-03-01'",
        "attributes.spent.amount > 4999 && attributes.spent.currency == 'EUR'",
        "attributes.vip ? order.amount >= 2000 : order.amount >= 10000",
        "'gold' in segments && !('silver' in segments) && size(segments) == 1",
        "order.quantity % 2 == 0 && order.currency == 'EUR' && -order.quantity < 0",
        "has(attributes.city) && !has(attributes.country)",
        "attributes['city'] != 'Bonn' && string(attributes.age) == '30' && int('7') == 7",
    ] {
        assert_eq!(evaluate(text), Ok(true), "{text}");
    }
}

#[test]
fn an_error_while_evaluating_names_its_cause() {
    for (text, cause) in [
        ("attributes.country == 'DE'", "country"),
        ("!(attributes.country == 'DE')", "country"),
        ("attributes.age == 30 && order.amount / 0 == 1", "Division by zero"),
        ("attributes.age + 9223372036854775807 > 0", "Overflow"),
        ("attributes.city > 5", "no matching overload"),
        ("attributes.age", "the answer is int"),
        ("int('x') == 1", "int"),
        ("segments[7] == 'gold'", "7"),
    ] {
        let error = evaluate(text).expect_err(text);
        assert!(error.contains(cause), "{text}: {error}");
        assert!(error.len() < 1000, "{text}: {error}");
    }
}

#[test]
fn what_could_loop_or_reach_further_is_refused() {
    let function = |name: &str| ExpressionError::Function { name: name.to_owned() };
    let name = |name: &str| ExpressionError::Name { name: name.to_owned() };
    for (text, expected) in [
        ("segments.all(x, x == 'gold')", ExpressionError::Loop),
        ("segments.exists(x, segments.exists(y, x == y))", ExpressionError::Loop),
        ("size(segments.map(x, x + x)) > 0", ExpressionError::Loop),
        ("segments.filter(x, true) == []", ExpressionError::Loop),
        ("segments.exists_one(x, true)", ExpressionError::Loop),
        ("attributes.city.matches('(a+)+$')", function("matches")),
        ("matches(attributes.city, '(a+)+$')", function("matches")),
        ("timestamp('2027-01-01T00:00:00Z') > timestamp('2026-01-01T00:00:00Z')", function("timestamp")),
        ("attributes.city.format([1])", function("format")),
        ("type(1) == int", function("type")),
        ("city == 'Berlin'", name("city")),
        ("{'a': 1} == attributes", ExpressionError::Literal),
        ("b'abc' == b'abc'", ExpressionError::Literal),
        ("", ExpressionError::Empty),
        (" \n ", ExpressionError::Empty),
    ] {
        assert_eq!(Expression::new(text).expect_err(text), expected, "{text}");
    }
    for text in ["attributes.city ==", "1 +", "'open", "attributes.?city == 'a'", "a b", "if (true) { }"] {
        assert!(matches!(Expression::new(text), Err(ExpressionError::NotCel(_))), "{text}");
    }
}

/// Texts of the maximum length that make parsers and evaluators call themselves, or repeat work.
fn hostile_texts() -> Vec<String> {
    let repeated = |part: &str| part.repeat(EXPRESSION_BYTES_MAX / part.len());
    let half = |part: &str| part.repeat(EXPRESSION_BYTES_MAX / 2 / part.len());
    let parts = [
        "(",
        "[",
        "{",
        "!",
        "-",
        "- ",
        "!-",
        "[[",
        "((",
        "(!",
        "-(",
        "{'a':",
        "a(",
        "a[",
        "a.a(",
        "a{",
        "'",
        "\"",
        "r'",
        "'''",
        "\\",
        ".",
        ",",
        "?",
        ":",
        "1",
        "0x",
        "1e",
        "`",
        "\u{0}",
        "\u{202e}",
        "é",
        "🎁",
        "a?",
        "a?a:",
        "a||",
        "a&&",
        "a+",
        "a-",
        "a*",
        "1/0+",
        "a==",
        "a<",
        "a in ",
        "a.",
        "a.a.",
        "true?1:",
        "true?true:",
        "has(",
        "size(",
        "/*",
        "//",
        "\n",
        "\t",
        ")",
        "]",
        "}",
        "(]",
        "!//\n",
        "-//\n",
        "(')'+",
        "(//)\n",
        "1.",
        "..",
        "a.b[",
        "!a||",
        "-1-",
        "''+",
        "[]+",
        "[1,",
        "1,",
        "a:1,",
    ];
    let closed = [("(", ")"), ("[", "]"), ("size(", ")"), ("!(", ")"), ("-(", ")"), ("string(", ")"), ("[1]==[", "]")];
    let open = parts
        .iter()
        .flat_map(|part| [repeated(part), format!("{}a", half(part)), format!("attributes.{}", half(part))]);
    let closed = closed
        .iter()
        .map(|(open, close)| format!("{}1{}", half(open), half(close)).chars().take(EXPRESSION_BYTES_MAX).collect());
    let long = ["'a'+", "order.amount+", "attributes.city+", "true&&", "true||", "1==1==", "!true||", "[1,2]+"];
    let long = long.iter().map(|part| format!("{}{}", half(part), part.trim_end_matches(['+', '&', '|', '='])));
    // As many brackets as the parser may see, most of them in texts that it has to recover from.
    let brackets = |part: &str| part.matches(['(', '[', '{', '?']).count();
    let nesting = ["a[]", "+in[{", "{'a':1,", "(\"x\"}[", "a?b:", "a(", "x{y:", "[)+a((", "size(["];
    let nesting = nesting.iter().map(|part| part.repeat(EXPRESSION_BRACKETS_MAX / brackets(part)));
    open.chain(closed).chain(long).chain(nesting).collect()
}

/// Runs in a thread with a small stack: nesting that overflows it would end the test program.
fn in_a_small_thread(run: impl FnOnce() + Send + 'static) {
    std::thread::Builder::new().stack_size(STACK_BYTES).spawn(run).expect("a thread").join().expect("no panic");
}

#[test]
fn hostile_texts_neither_stall_nor_overflow_nor_panic() {
    in_a_small_thread(|| {
        for text in hostile_texts() {
            let began = Instant::now();
            let answer = evaluate(&text);
            assert!(began.elapsed() < TIME_MAX, "{text}: {:?}", began.elapsed());
            assert!(answer.is_ok() || answer.is_err_and(|error| error.len() < 1000), "{text}");
        }
    });
}

#[test]
fn extreme_numbers_are_errors_not_panics() {
    let least = "(-9223372036854775807 - 1)";
    for text in [
        format!("{least} % -1 == 0"),
        format!("{least} / -1 == 0"),
        format!("-{least} == 0"),
        format!("{least} * -1 == 0"),
        format!("{least} - 1 == 0"),
        "0u - 1u == 0u".to_owned(),
        "int(1e300) == 0".to_owned(),
        "int(18446744073709551615u) == 0".to_owned(),
        "1 % 0 == 0".to_owned(),
        "1u % 0u == 0u".to_owned(),
        "segments[-1] == 'gold'".to_owned(),
        format!("segments[{least}] == 'gold'"),
        "segments[1e300] == 'gold'".to_owned(),
        "attributes[1.5] == 'gold'".to_owned(),
    ] {
        assert!(evaluate(&text).is_err(), "{text}");
    }
}

#[test]
fn the_longest_allowed_expression_is_evaluated_quickly() {
    in_a_small_thread(|| {
        let long = Attribute::Text("x".repeat(200));
        let attributes: BTreeMap<String, Attribute> = (0..100).map(|name| (format!("a{name}"), long.clone())).collect();
        let segments = (0..1000).map(|number| format!("segment {number}")).collect();
        let facts = Facts { attributes: &attributes, segments: &segments, cart: None, day: NaiveDate::default() };
        let sum = (0..20).map(|name| format!("attributes.a{name}")).collect::<Vec<_>>().join("+");
        for text in [format!("({sum}).contains('y')"), vec!["'x' in segments"; 40].join(" || ")] {
            let expression = Expression::new(&text).expect(&text);
            let began = Instant::now();
            assert_eq!(expression.evaluate(&facts), Ok(false), "{text}");
            assert!(began.elapsed() < TIME_MAX, "{text}: {:?}", began.elapsed());
        }
    });
}

/// Pieces of expressions, put together at random.
fn pieces() -> impl Strategy<Value = String> {
    let known = select(vec![
        "attributes",
        "order",
        "segments",
        ".",
        "city",
        "amount",
        "(",
        ")",
        "[",
        "]",
        "{",
        "}",
        "?",
        ":",
        ",",
        "'",
        "\"",
        "==",
        "<",
        "&&",
        "||",
        "!",
        "-",
        "+",
        "*",
        "/",
        "%",
        "in",
        " ",
        "1",
        "0u",
        "1.5",
        "true",
        "null",
        "size",
        "has",
        "all",
        "map",
        "x",
        "'a'",
        "b'a'",
        "\n",
        "\\",
        "`",
        "0x7fffffffffffffff",
        "9223372036854775808",
    ]);
    let piece = prop_oneof![9 => known.prop_map(str::to_owned), 1 => any::<char>().prop_map(String::from)];
    proptest::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(cases(1500))]

    #[test]
    fn prop_any_text_is_evaluated_or_refused_with_a_short_message(text in prop_oneof![pieces(), any::<String>()]) {
        let answer = evaluate(&text);
        prop_assert!(answer.as_ref().err().is_none_or(|error| error.len() < 1000), "{:?}", answer);
    }
}
