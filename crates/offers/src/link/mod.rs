//! Links of campaigns: where they lead, and what they carry.

pub mod banner;
pub mod hosts;
pub mod target;
