//! Referrals: referrers with their codes, the friends they brought, and their rewards.

pub(crate) mod tree;
pub(crate) mod changes;
mod events;
mod voiding;
pub mod referrers;
pub mod reads;
pub mod pages;
pub mod rewards;
