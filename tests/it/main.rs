//! All tests that need more than one function of the crate: one program, modules inside.

#[path = "../support/mod.rs"]
mod support;

mod faults;
mod house;
mod minting;
mod postgres_access;
mod sharing;
mod stores;
