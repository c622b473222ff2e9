#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| codemint_fuzz::configuration_law::of_configurations(bytes));
