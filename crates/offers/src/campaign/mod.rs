//! Campaigns: their definition and their status.

pub mod definition;
pub mod change;
pub mod status;
pub mod document;
pub mod words;
pub mod differences;
