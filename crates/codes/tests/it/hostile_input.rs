//! Hostile bytes, made of pieces that masks and messages consist of.

use proptest::prelude::{ProptestConfig, proptest};

use codemint_test_support::hostile_bytes::made_of;
use codemint_test_support::laws;

const OF_MASKS: &[&str] = &[
    "#",
    "?",
    "*",
    "[",
    "]",
    "{",
    "}",
    "\\",
    "-",
    ":",
    "^",
    "A",
    "z",
    "0",
    "9",
    "~",
    " ",
    "{3}",
    "{64}",
    "{0}",
    "{99999999999999999999}",
    "[:safe:]",
    "[:digit:]",
    "[:check:]",
    "[A-Z]",
    "[Z-A]",
    "\u{e9}",
    "\u{1f3ab}",
    "\0",
];
const OF_MESSAGES: &[&str] = &[
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "\"",
    "\"mask\":",
    "\"count\":",
    "\"job_id\":",
    "\"AB##\"",
    "1",
    "-0",
    "1e999",
    "null",
    "true",
    "18446744073709551616",
    "\\u0000",
    "\\ud800",
    "\u{feff}",
    "\"0193f0a4-6c1e-7b6e-9a53-2f6f0b1c9d77\"",
];

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(3000) })]

    #[test]
    fn prop_any_text_is_a_mask_or_is_refused(bytes in made_of(OF_MASKS)) {
        laws::of_masks(&String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn prop_any_bytes_are_a_message_or_are_refused(bytes in made_of(OF_MESSAGES)) {
        laws::of_messages(&bytes);
    }
}
