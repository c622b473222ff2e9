//! The pages of segments.

pub mod list;
pub mod details;
pub mod form;
pub mod members;
mod paths;
