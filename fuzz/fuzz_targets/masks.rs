#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| codemint_fuzz::laws::of_masks(text));
