//! The laws that the tests check, for a fuzzer that learns from the coverage what to try next.

#[path = "../../tests/program/configuration_law.rs"]
pub mod configuration_law;
