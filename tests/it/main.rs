//! All tests that need more than one function of the crate: one program, modules inside.

#[path = "../support/mod.rs"]
mod support;

mod cli_steps;

mod cli_generate;
mod cli_input;
mod cli_interrupt;
mod cli_jobs;
mod cli_output;
mod cli_store;
mod cli_verify;
mod configuration;
mod stores;
