//! Hostile bytes, made of pieces that imports consist of.

use proptest::prelude::{ProptestConfig, proptest};

use codemint_test_support::hostile_bytes::made_of;
use codemint_test_support::laws;

const OF_IMPORTS: &[&str] = &[
    "code",
    "CODE",
    "a",
    "A1",
    ",",
    ";",
    "\t",
    "\"",
    "\"\"",
    "'",
    "{\"code\":\"A1\"}",
    "[",
    "sep=;",
    "\n",
    "\r\n",
    "\r",
    "\u{feff}",
    " ",
    "\0",
    "\u{e9}",
    "~",
    "ABCDEFGHIJKLMNOPQRSTUVWXYZABCDEFGHIJKLMNOPQRSTUVWXYZABCDEFGHIJKL",
];

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(300) })]

    #[test]
    fn prop_any_input_is_imported_or_is_refused(bytes in made_of(OF_IMPORTS)) {
        laws::of_imports(&bytes);
    }
}
