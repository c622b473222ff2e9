#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| codemint_test_support::laws::of_offers(bytes));
