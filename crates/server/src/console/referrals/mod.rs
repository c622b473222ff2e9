//! The pages of referrals: customers who pass codes on, and their friends.

mod lines;
pub mod list;
pub mod one;
