#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| codemint_fuzz::laws::of_messages(bytes));
