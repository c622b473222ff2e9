//! The pages of campaigns.

pub mod list;
pub mod edit;
pub mod one;
mod form;
mod preview;
pub(super) mod labels;
