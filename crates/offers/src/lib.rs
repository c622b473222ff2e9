//! What codes are for: money, discounts, conditions, campaigns and verdicts, links and reports. Every decision about an offer is
//! made here, and whether an API key may be used.
//!
//! Pure and synchronous: no I/O, no clock, no log, no randomness from the system. The caller hands in the instant and
//! everything that is known from the store.

pub mod money;
pub mod problem;
mod text;

pub mod cart;
pub mod discount;
pub mod condition;
pub mod campaign;
pub mod verdict;
pub mod redemption;
pub mod access;
pub mod affiliate;
pub mod link;
pub mod report;
pub mod referral;
pub mod trigger;
pub mod read;
pub mod form;
pub mod demo;
