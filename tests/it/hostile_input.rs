//! Hostile bytes, made of pieces that each reader understands.

use proptest::collection::vec;
use proptest::prelude::{ProptestConfig, Strategy, any, prop_oneof, proptest};
use proptest::sample::select;

use crate::laws;

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
const OF_CONFIGURATIONS: &[&str] = &[
    "[store]\n",
    "[job]\n",
    "[[job]]\n",
    "[amqp]\n",
    "url = ",
    "chunk_size = ",
    "prefetch = ",
    "level = ",
    "\n",
    "\"",
    "'",
    "\"\"\"",
    "\"sqlite://a.db\"\n",
    "\"postgres://h/db\"\n",
    "\"amqp://h\"\n",
    "1\n",
    "-1\n",
    "1e400\n",
    "9223372036854775808\n",
    "[1, 2]\n",
    "{ a = 1 }\n",
    "true\n",
    "2026-01-01\n",
    "inf\n",
    "store.url = ",
    "job = ",
    "#",
    "\u{feff}",
    "\\u0000",
    "\0",
];
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

/// Mostly pieces that the reader understands, with arbitrary bytes between; sometimes arbitrary bytes alone.
fn made_of(pieces: &'static [&'static str]) -> impl Strategy<Value = Vec<u8>> {
    let known = select(pieces).prop_map(|piece| piece.as_bytes().to_vec());
    let piece = prop_oneof![20 => known, 1 => vec(any::<u8>(), 0..4)];
    let pieces = vec(piece, 0..60).prop_map(|pieces| pieces.concat());
    prop_oneof![4 => pieces, 1 => vec(any::<u8>(), 0..300)]
}

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

    #[test]
    fn prop_any_file_is_a_configuration_or_is_refused(bytes in made_of(OF_CONFIGURATIONS)) {
        laws::of_configurations(&bytes);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(300) })]

    #[test]
    fn prop_any_input_is_imported_or_is_refused(bytes in made_of(OF_IMPORTS)) {
        laws::of_imports(&bytes);
    }
}
