//! The pages of campaigns.

pub mod list;
pub mod edit;
pub mod one;
pub mod orders;
pub mod versions;
pub mod trial;
mod preview;
pub(super) mod labels;
