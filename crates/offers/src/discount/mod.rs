//! Discounts: what a campaign takes off, and how much that is for a cart.

pub mod rule;
pub mod grant;
pub mod left;
mod units;
mod buy_get;
pub mod allocate;
