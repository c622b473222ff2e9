//! The pages of campaigns.

pub mod list;
pub(super) mod labels;
