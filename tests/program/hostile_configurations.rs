//! Hostile bytes, made of pieces that configuration files consist of.

use proptest::prelude::{ProptestConfig, proptest};

use codemint_test_support::hostile_bytes::made_of;

use crate::configuration_law::of_configurations;

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

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(3000) })]

    #[test]
    fn prop_any_file_is_a_configuration_or_is_refused(bytes in made_of(OF_CONFIGURATIONS)) {
        of_configurations(&bytes);
    }
}
