//! Campaigns: their definition and their status.

pub mod definition;
pub mod status;
