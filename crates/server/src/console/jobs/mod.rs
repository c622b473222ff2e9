//! The pages of jobs, which mint the codes that were ordered.

pub mod list;
pub mod one;
pub mod pace;
pub mod progress;
pub mod rows;
