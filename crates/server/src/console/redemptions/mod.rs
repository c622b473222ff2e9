//! The pages of redemptions.

pub mod list;
pub mod details;
pub mod row;
pub mod acting;
