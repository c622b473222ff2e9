//! The pages of the affiliate team.

pub mod list;
pub mod details;
pub mod form;
pub mod exclusions;
pub mod exclusion_lists;
mod rule_view;
