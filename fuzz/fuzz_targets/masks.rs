#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| codemint_test_support::laws::of_masks(text));
