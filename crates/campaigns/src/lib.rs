//! Services around campaigns: what many callers ask for at once becomes one transaction.
//!
//! No SQL and no HTTP: the store carries out, `offers` decides.

pub mod issuing;
pub mod affiliates;
pub mod answers;
pub mod code_book;
pub mod redeeming;
pub mod finding;
pub mod keeping;
pub mod clicking;
pub mod links;
pub mod triggering;
pub mod referring;
pub mod people;
pub mod staff;
pub mod demo;
mod attempts;
mod waiter;
mod counting;
mod hashing;
mod intake;
mod recently_read;
mod refusal_time;
mod shared;
mod validating;
mod writing;
