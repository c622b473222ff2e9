//! The laws that the tests check, for a fuzzer that learns from the coverage what to try next.

#[path = "../../tests/it/import_steps.rs"]
pub mod import_steps;
#[path = "../../tests/it/laws.rs"]
pub mod laws;
