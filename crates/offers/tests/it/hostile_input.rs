//! Hostile bytes, made of pieces that definitions and expressions consist of.

use codemint_test_support::hostile_bytes::made_of;
use codemint_test_support::laws;
use proptest::prelude::proptest;

use crate::steps::cases;

#[rustfmt::skip]
const OF_DEFINITIONS: &[&str] = &[
    "{", "}", "[", "]", ",", ":", "\"", "{\"title\":\"x\",", "\"kind\":\"public\",", "\"mask\":\"A##\",", "\"limits\":{",
    "\"per_code\":", "\"discount\":{", "\"effect\":{\"type\":\"percent\",\"basis_points\":1}", "\"target\":{\"type\":\"order\"}",
    "\"condition\":", "{\"not\":", "{\"all\":[", "\"expression\":\"", "1", "-0", "1e999", "null", "true", "18446744073709551616",
    "\\u0000", "\\ud800", "\u{feff}", "\"EUR\"", "\"zone\":\"UTC\"",
];

#[rustfmt::skip]
const OF_EXPRESSIONS: &[&str] = &[
    "attributes", "order", "segments", ".", "city", "(", ")", "[", "]", "{", "}", "?", ":", ",", "'", "\"", "==", "<", "&&", "||",
    "!", "-", "+", "*", "/", "%", " in ", " ", "1", "0u", "1.5", "true", "size", "has", "all", "x", "r'", "b'", "\\x", "`", "//",
    "\n", "0x7fffffffffffffff", "9223372036854775808", "\u{e9}", "\0",
];

proptest! {
    #![proptest_config(cases(2000))]

    #[test]
    fn prop_any_bytes_are_a_definition_or_are_refused(bytes in made_of(OF_DEFINITIONS)) {
        laws::of_offers(&bytes);
    }

    #[test]
    fn prop_any_bytes_are_an_expression_or_are_refused(bytes in made_of(OF_EXPRESSIONS)) {
        laws::of_offers(&bytes);
    }
}
