//! The pages of campaigns.

pub mod list;
pub mod edit;
pub mod one;
pub mod orders;
pub mod versions;
pub mod trial;
mod preview;
mod field_names;
pub(super) mod labels;
